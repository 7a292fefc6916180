"""The files that the evaluation of a run leaves, the same for every task, and written here only.

scores.jsonl   the rows that its figures rest on: role, system and split, then the score row itself
metrics.tsv    every figure as a metric row
report.txt     the same for people, with what may be said of it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from kalam.data.selection import stored_rows
from kalam.evaluation.bits import Rows, text_digests
from kalam.evaluation.metrics import METRIC_COLUMNS
from kalam.files.atomic import atomic_write
from kalam.files.jsonl import read_json, read_jsonl, write_jsonl
from kalam.files.tables import write_tsv


@dataclass(frozen=True)
class System:
    """What was scored: the role that it has in a run's tables, its own name, and its rows on a split."""

    role: str
    name: str
    split: str
    rows: Rows


@dataclass(frozen=True)
class Evaluation:
    """What a task makes of the score rows of a run: the systems under comparison, metric rows, a text for people."""

    systems: Sequence[System]
    metrics: Sequence[dict[str, Any]]
    text: str


def evaluate_run(
    module: str,
    about: dict[str, Any],
    base: str | Path,
    scores: Sequence[tuple[dict[str, str], str | Path]],
    rows: Mapping[str, str | Path],
    resamples: int,
    seed: int,
    outputs: Mapping[str, str | Path],
) -> None:
    """Compare the systems of a run, as the function `evaluate` of `module` does, and write what that comes to.

    `about` has project, run, and what else `module` asks for; `base` is the run's `base.json`; `scores` are
    files of score rows, each with the role, name and split of its system; `rows` the held-out rows by split.
    """
    systems = [System(**system, rows=list(read_jsonl(file))) for system, file in scores]
    digests = {split: text_digests(stored_rows(path)) for split, path in rows.items()}
    found: Evaluation = import_module(module).evaluate(about, read_json(base), systems, digests, resamples, seed)
    write_jsonl(outputs["scores"], (row for system in found.systems for row in _named(system)))
    write_tsv(outputs["metrics"], found.metrics, METRIC_COLUMNS)
    with atomic_write(outputs["text"]) as handle:
        handle.write(found.text)


def _named(system: System) -> list[dict[str, Any]]:
    name = {"role": system.role, "system": system.name, "split": system.split}
    return [{**name, **row} for row in system.rows]
