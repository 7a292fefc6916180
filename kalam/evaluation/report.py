"""The perplexity reports of a project, from the files of its runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kalam.evaluation.bits import failures, text_digest
from kalam.evaluation.comparison import Report, System, ppl_rows
from kalam.evaluation.hidden_tokens_report import masked_rows, render_masked
from kalam.files.jsonl import read_json, read_jsonl

SPLIT = "test"


def project_reports(
    name: str, project: dict[str, Any], candidates: list[str], documents: list[dict[str, Any]], results: Path, seed: int
) -> list[Report]:
    """One report per run, complete with its metric rows.

    `project` is its section of the configuration, `candidates` the models it compares, `documents`
    the test split, `results` the folder the rules wrote the score rows under.
    """
    digests = _digests(documents)
    reports = []
    for run, section in project["runs"].items():
        if section["task"] != "causal":
            continue
        base = read_json(results / "runs" / run / "base.json")
        report: Report = {
            "project": name,
            "language": project["language"],
            "run": run,
            "split": SPLIT,
            "context": project["evaluation"]["context"],
            "target": section["registers"],
            "general": [register for register in digests if register not in section["registers"]],
            "text_sha256": digests,
            "systems": list(_systems(results, run, base, candidates)),
            "files": {
                "Loss curves": f"runs/{run}/curves.svg",
                "Continuations": f"runs/{run}/continuations.html",
                "Figures": "metrics.tsv",
                "Candidates": "candidates.tsv",
            },
            "metrics": [],
        }
        reports.append({**report, "metrics": ppl_rows(report, project["evaluation"]["resamples"], seed)})
    return reports


def masked_reports(
    name: str, project: dict[str, Any], documents: dict[str, list[dict[str, Any]]], results: Path, seed: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The text and the metric rows of each masked run; `documents` are the held-out ones, by split."""
    digests = {split: _digests(some) for split, some in documents.items()}
    for run, section in project["runs"].items():
        if section["task"] != "masked":
            continue
        folder = results / "runs" / run
        base = read_json(folder / "base.json")["model"]
        rows = masked_rows(name, run, base, folder, digests, project["evaluation"]["resamples"], seed)
        yield render_masked(name, run, base, project["language"], section["masked"]["share"], rows), rows


def _digests(documents: list[dict[str, Any]]) -> dict[str, str]:
    """The SHA-256 of the text of each register, in the order the registers come."""
    registers = dict.fromkeys(document["register"] for document in documents)
    return {register: text_digest(d for d in documents if d["register"] == register) for register in registers}


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without repetitions: runs that share candidates share their rows."""
    return list({tuple(row.items()): row for row in rows}.values())


def _systems(results: Path, run: str, begun: dict[str, Any], candidates: list[str]) -> list[System]:
    folder, base, before = results / "runs" / run, begun["model"], begun["run"]
    systems = [
        _system("floor, base text", "floor_base", "floor_base", run, folder / "floors" / "base"),
        _system("floor, base and run text", "floor", "floor", run, folder / "floors" / "adapted"),
    ]
    for model in [name for name in candidates if name != base]:
        systems.append(_system(f"candidate {model}", "candidate", model, None, results / "models" / model / "scores"))
    where = results / "runs" / before if before else results / "models" / base
    label = f"base {base} after {before}" if before else f"base {base}"
    systems.append(_system(label, "base", base, before, where / "scores"))
    return [*systems, _system(f"adapted {base}", "adapted", base, run, folder / "scores")]


def _system(label: str, role: str, model: str, run: str | None, folder: Path) -> System:
    rows = list(read_jsonl(folder / f"{SPLIT}.jsonl"))
    reason = None
    if failed := failures(rows):
        kinds = ", ".join(sorted({row["failure"] for row in rows if row["failure"]}))
        reason = f"{failed} of {len(rows)} documents could not be scored ({kinds})"
    return {"label": label, "role": role, "model": model, "run": run, "rows": rows, "reason": reason}
