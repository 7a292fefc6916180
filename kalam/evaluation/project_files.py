"""The pages of a project, put together from the files of its runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import write_json
from kalam.files.provenance import provenance
from kalam.files.tables import read_tsv, write_tsv


def write_project(
    runs: Sequence[dict[str, Any]],
    reports: Sequence[str | Path],
    metrics: Sequence[str | Path],
    tables: Sequence[str | Path],
    project: dict[str, Any],
    seed: int,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write `text`, `metrics` and `provenance` of a project, and print the text.

    `runs` say the name of each run, those behind it (`runs`; itself, or one for each fold), what its page shows and
    whether it is of a task with candidates, in the order of `reports`; `tables` are texts that follow these;
    `project` is the section of the configuration to be kept.
    """
    write_tsv(outputs["metrics"], (row for file in metrics for row in read_tsv(file)), METRIC_COLUMNS)
    write_json(outputs["provenance"], provenance(project, seed))
    parts = [_with_files(run, Path(file)) for run, file in zip(runs, reports, strict=True)]
    parts += [Path(file).read_text(encoding="utf-8") for file in tables]
    with atomic_write(outputs["text"]) as handle:
        handle.write("\n".join(parts))
    print("\n".join(parts))


def _with_files(run: dict[str, Any], report: Path) -> str:
    """A run's report, and what else there is of it below the project's folder."""
    files = [("Loss curves", f"runs/{name}/curves.svg") for name in run["runs"]]
    files += [(run["page"], f"runs/{name}/page.html") for name in run["runs"]]
    files += [("Figures", "metrics.tsv"), *[("Candidates", "candidates.tsv")] * run["candidates"]]
    footer = "\n".join(f"{what}: {place}" for what, place in files)
    return f"{report.read_text(encoding='utf-8')}\n{footer}\n"
