"""The perplexity reports of a project, from the files of its runs."""

from pathlib import Path
from typing import Any

from kalam.evaluation.bits import failures, text_digest
from kalam.evaluation.comparison import Report, System, ppl_rows
from kalam.files.jsonl import read_json, read_jsonl

SPLIT = "test"


def project_reports(
    name: str, project: dict[str, Any], candidates: list[str], documents: list[dict[str, Any]], results: Path, seed: int
) -> list[Report]:
    """One report per run, complete with its metric rows.

    `project` is its section of the configuration, `candidates` the models it compares, `documents`
    the test split, `results` the folder the rules wrote the score rows under.
    """
    registers = list(dict.fromkeys(document["register"] for document in documents))
    digests = {r: text_digest(d for d in documents if d["register"] == r) for r in registers}
    reports = []
    for run, section in project["runs"].items():
        base = read_json(results / "runs" / run / "base.json")["model"]
        report: Report = {
            "project": name,
            "language": project["language"],
            "run": run,
            "split": SPLIT,
            "context": project["evaluation"]["context"],
            "target": section["registers"],
            "general": [register for register in registers if register not in section["registers"]],
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


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without repetitions: runs that share candidates share their rows."""
    return list({tuple(row.items()): row for row in rows}.values())


def _systems(results: Path, run: str, base: str, candidates: list[str]) -> list[System]:
    folder = results / "runs" / run
    systems = [
        _system("floor, base text", "floor_base", "floor_base", run, folder / "floors" / "base"),
        _system("floor, base and run text", "floor", "floor", run, folder / "floors" / "adapted"),
    ]
    for model in [name for name in candidates if name != base]:
        systems.append(_system(f"candidate {model}", "candidate", model, None, results / "models" / model / "scores"))
    systems.append(_system(f"base {base}", "base", base, None, results / "models" / base / "scores"))
    return [*systems, _system(f"adapted {base}", "adapted", base, run, folder / "scores")]


def _system(label: str, role: str, model: str, run: str | None, folder: Path) -> System:
    rows = list(read_jsonl(folder / f"{SPLIT}.jsonl"))
    reason = None
    if failed := failures(rows):
        kinds = ", ".join(sorted({row["failure"] for row in rows if row["failure"]}))
        reason = f"{failed} of {len(rows)} documents could not be scored ({kinds})"
    return {"label": label, "role": role, "model": model, "run": run, "rows": rows, "reason": reason}
