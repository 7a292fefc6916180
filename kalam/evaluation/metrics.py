"""Metric rows: what every table and page of results is made from."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from kalam.evaluation.bits import Estimate, Rows, estimates
from kalam.files.tables import read_tsv

METRIC_COLUMNS = [
    "project",
    "run",
    "system",
    "role",
    "split",
    "part",
    "metric",
    "profile",
    "context",
    "text_sha256",
    "value",
    "low",
    "high",
    "n",
    "groups",
    "failures",
]


def metric_row(
    estimate: Estimate,
    metric: str,
    *,
    project: str,
    run: str,
    system: str,
    role: str,
    split: str,
    part: str,
    context: int | None,
    text_sha256: str | None,
) -> dict[str, Any]:
    """One estimate under METRIC_COLUMNS. `run` is the one whose tables it stands in, `system` what was scored and
    `role` as what; `context` is in bytes of text. `profile`, how outputs of OCR are normalised before they are
    compared, is none of a language model's."""
    return {
        "project": project,
        "run": run,
        "system": system,
        "role": role,
        "split": split,
        "part": part,
        "metric": metric,
        "profile": None,
        "context": context,
        "text_sha256": text_sha256,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "groups": estimate.groups,
        "failures": estimate.failures,
    }


def metric_rows(rows: Rows, resamples: int, seed: int, **place: Any) -> list[dict[str, Any]]:
    """Every measure of one system on one text, from its score rows, and the sums of bytes and tokens that they rest on.

    `place` is what metric_row asks for. A document that could not be scored is not left out, which would flatter the
    model: it counts as infinitely costly, so each measure of the nll is inf without an interval, and `failures` says
    how many there are. Raises InputError as `estimates` does.
    """
    figures = estimates(rows, resamples, seed)
    bits = figures["bits_per_byte"]
    for name in ("bytes", "tokens") if "token_perplexity" in figures else ("bytes",):
        total = sum(row[name] for row in rows)
        figures[name] = Estimate(total, None, None, len(rows), bits.failures, bits.groups)
    return [metric_row(figure, name, **place) for name, figure in figures.items()]


def estimate_of(row: dict[str, Any]) -> Estimate:
    """The estimate that a metric row was made of."""
    return Estimate(*(row[field.name] for field in fields(Estimate)))


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The metric rows of a file, with numbers where they have such and None in an empty cell."""
    kinds = dict.fromkeys(("value", "low", "high"), float) | dict.fromkeys(("context", "n", "groups", "failures"), int)
    return [
        {column: kinds.get(column, str)(cell) if cell else None for column, cell in row.items()}
        for row in read_tsv(path)
    ]
