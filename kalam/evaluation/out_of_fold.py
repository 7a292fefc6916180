"""Runs of folds scored together: each row by the run that has not read it."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.data.selection import stored_rows
from kalam.evaluation.bits import Rows, estimates, family, measure, of_parts, paired_difference, text_digests
from kalam.evaluation.metrics import METRIC_COLUMNS, estimate_of, metric_row, read_metrics
from kalam.evaluation.paired_table import Line, table
from kalam.evaluation.verdict import few_groups
from kalam.files.atomic import atomic_write
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl
from kalam.files.tables import write_tsv

SPLIT = "test"  # of each fold
EXPLANATION = (
    "Every row of train and validation is answered once, by the run whose fold it is and which has read nothing of its "
    "group; the test split of the dataset is not touched. Intervals are 95%, over groups."
)

Files = Sequence[str | Path]  # a file of each fold, in their order
Systems = Mapping[tuple[str, str], Rows]  # by role and name


def write_out_of_fold(
    about: dict[str, str],
    compared_in: str,
    scores: Files,
    metrics: Files,
    rows: Files,
    column: str,
    resamples: int,
    seed: int,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write the score rows of all folds as one file (`scores`, each with its `fold`), their figures (`metrics`), and a
    report (`text`).

    `about` has project, run and language; `compared_in` is the measure of the task. `scores` and `metrics` are what
    the runs of the folds have left, `rows` what they were tested on, with its part in `column`. Raises InputError
    where a row has no answer or several.
    """
    systems = _together(about["run"], scores)
    digests = _digests(rows, column, systems["adapted", about["run"]])
    context = next(row["context"] for row in read_metrics(metrics[0]) if row["metric"] == compared_in)
    place = {"project": about["project"], "run": about["run"], "split": SPLIT, "context": context}
    found = list(_metric_rows(place, compared_in, systems, digests, resamples, seed))
    write_jsonl(outputs["scores"], (row for some in systems.values() for row in some))
    write_tsv(outputs["metrics"], found, METRIC_COLUMNS)
    with atomic_write(outputs["text"]) as handle:
        handle.write(_render(about, compared_in, systems, found, len(scores)))


def _together(run: str, scores: Files) -> Systems:
    """The rows of each system over all folds; what a fold has trained is there under the name of them all."""
    systems: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for fold, path in enumerate(scores, start=1):
        for row in read_jsonl(path):
            if row["split"] == SPLIT:
                name = run if row["role"] == "adapted" else row["system"]
                systems.setdefault((row["role"], name), []).append({**row, "system": name, "fold": fold})
    return systems


def _digests(rows: Files, column: str, answered: Rows) -> dict[str, str]:
    """The SHA-256 of the text of each part."""
    documents = stored_rows(*rows)
    asked = sorted(row["id"] for row in documents)
    for draw in sorted({row.get("draw", 0) for row in answered}):
        answers = sorted(row["id"] for row in answered if row.get("draw", 0) == draw)
        if asked != answers or len(set(asked)) != len(asked):
            raise InputError(f"folds: found {len(answers)} answers to {len(set(asked))} rows; allowed is one to each")
    return text_digests(documents, column)


def _metric_rows(
    place: dict[str, Any], compared_in: str, systems: Systems, digests: Mapping[str, str], resamples: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Every measure of each system by part, then what was trained minus each other system but the candidates."""
    adapted = ("adapted", place["run"])
    for part, digest in digests.items():
        where = {**place, "part": part, "text_sha256": digest}
        rows = {system: of_parts(some, [part]) for system, some in systems.items()}
        for (role, name), some in rows.items():
            for metric, figure in estimates(some, resamples, seed, family(compared_in)).items():
                yield metric_row(figure, metric, role=role, system=name, **where)
        for role, name in rows:
            if role not in ("candidate", "adapted"):
                gap = paired_difference(rows[adapted], rows[role, name], resamples, seed, compared_in)
                yield metric_row(gap, f"{compared_in}_minus_{role}", role=adapted[0], system=adapted[1], **where)


def _render(
    about: dict[str, str], compared_in: str, systems: Systems, metrics: Sequence[dict[str, Any]], folds: int
) -> str:
    figures = {(row["role"], row["system"], row["part"], row["metric"]): row for row in metrics}
    adapted = ("adapted", about["run"])
    context = f", context {metrics[0]['context']} bytes of text" if metrics[0]["context"] else ""
    sections = [
        [
            f"Out of fold: project {about['project']}, run {about['run']} of {folds} folds",
            f"language {about['language']}{context}",
        ],
        textwrap.wrap(EXPLANATION, 100),
    ]
    for part in dict.fromkeys(row["part"] for row in metrics):
        lines = []
        for role, name in systems:
            gap = figures.get((*adapted, part, f"{compared_in}_minus_{role}"))
            label = role if role == name else f"{role} {name}"
            figure = figures[role, name, part, compared_in]
            lines.append(Line(label, estimate_of(figure), gap and estimate_of(gap)))
        title = f"Part {part}: {figure['n']} rows in {figure['groups']} groups, SHA-256 of the text "
        sections.append([f"{title}{figure['text_sha256'][:12]}...", *table(compared_in, "adapted minus it", lines)])
        own = of_parts(systems[adapted], [part])
        by_fold = [measure([row for row in own if row["fold"] == n], compared_in) for n in range(1, folds + 1)]
        sections[-1].append("By fold: " + ", ".join(f"{value:.4f}" for value in by_fold))
        sections[-1] += [f"Warning: {text}" for text in few_groups(part, figure["n"], figure["groups"], "rows")]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"
