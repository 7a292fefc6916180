"""The runs of a project that answer for the same text, side by side in one table."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.evaluation.bits import Rows, of_parts, paired_difference
from kalam.evaluation.metrics import METRIC_COLUMNS, estimate_of, metric_row, read_metrics
from kalam.evaluation.paired_table import Line, incomparable, table
from kalam.evaluation.verdict import few_groups
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_jsonl
from kalam.files.tables import write_tsv

EXPLANATION = (
    "A figure and its interval are those of the run's own table. A difference is taken on the same text, group by "
    "group, with a 95% interval over groups; where that includes zero, none is shown."
)
SPLIT, ROLE = "test", "adapted"

Files = Mapping[str, str | Path]  # by run


def write_run_table(
    project: str,
    groups: Sequence[dict[str, Any]],
    scores: Files,
    metrics: Files,
    resamples: int,
    seed: int,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write the differences between runs to `metrics` and their tables to `text`, from the files of the runs alone.

    `groups` have each the `measure` that its `runs` are compared in; each is compared with the first of them.
    """
    rows, sections = [], []
    for group in groups:
        found, text = _compare(project, group["measure"], group["runs"], scores, metrics, resamples, seed)
        rows += found
        sections.append(text)
    write_tsv(outputs["metrics"], rows, METRIC_COLUMNS)
    with atomic_write(outputs["text"]) as handle:
        handle.write("\n\n".join(sections) + "\n")


def _compare(
    project: str, measure: str, runs: Sequence[str], scores: Files, metrics: Files, resamples: int, seed: int
) -> tuple[list[dict[str, Any]], str]:
    scored = {run: _scored(scores[run]) for run in runs}
    figures = {run: _figures(metrics[run], run, measure) for run in runs}
    first = runs[0]
    objections = {run: reason for run in runs if (reason := incomparable(scored[run], scored[first], measure))}
    rows = []
    sections = [[f"Runs on the same text: project {project}, {', '.join(runs)}"], textwrap.wrap(EXPLANATION, 100)]
    for part, about in figures[first].items():
        lines = [Line(first, estimate_of(about), None)]
        for run in [run for run in runs[1:] if run not in objections]:
            ours, theirs = (of_parts(scored[name], [part]) for name in (run, first))
            gap = paired_difference(ours, theirs, resamples, seed, measure)
            lines.append(Line(run, estimate_of(figures[run][part]), gap))
            rows.append(metric_row(gap, f"{measure}_minus_{first}", **_place(figures[run][part])))
        digest = about["text_sha256"][:12]
        title = f"Part {part}: {about['n']} rows in {about['groups']} groups, SHA-256 of the text {digest}..."
        sections.append([title, *table(measure, f"minus {first}", lines)])
        sections[-1] += [f"Warning: {text}" for text in few_groups(part, about["n"], about["groups"], "rows")]
    sections.append([f"{run}: not compared with {first}, {reason}" for run, reason in objections.items()])
    return rows, "\n\n".join("\n".join(lines) for lines in sections if lines)


def _scored(path: str | Path) -> Rows:
    return [row for row in read_jsonl(path) if (row["role"], row["split"]) == (ROLE, SPLIT)]


def _figures(path: str | Path, run: str, measure: str) -> dict[str, dict[str, Any]]:
    """The metric rows of what a run has made, by part."""
    wanted = {"system": run, "role": ROLE, "split": SPLIT, "metric": measure}
    return {row["part"]: row for row in read_metrics(path) if row.items() >= wanted.items()}


def _place(row: dict[str, Any]) -> dict[str, Any]:
    keys = ("project", "run", "system", "role", "split", "part", "context", "text_sha256")
    return {key: row[key] for key in keys}
