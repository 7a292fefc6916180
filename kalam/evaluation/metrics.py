"""Metric rows: what every table and page of results is made from."""

from typing import Any

from kalam.evaluation.bits import Estimate, Rows, estimates

METRIC_COLUMNS = [
    "project",
    "run",
    "model",
    "split",
    "register",
    "metric",
    "profile",
    "context",
    "text_sha256",
    "value",
    "low",
    "high",
    "n",
    "failures",
]


def metric_row(
    estimate: Estimate,
    metric: str,
    *,
    project: str,
    run: str | None,
    model: str,
    split: str,
    register: str,
    context: int | None,
    text_sha256: str | None,
    profile: str | None = None,
) -> dict[str, Any]:
    """One estimate under METRIC_COLUMNS. `context` is in bytes of text; `profile` names how outputs of OCR
    are normalised before they are compared."""
    return {
        "project": project,
        "run": run,
        "model": model,
        "split": split,
        "register": register,
        "metric": metric,
        "profile": profile,
        "context": context,
        "text_sha256": text_sha256,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "failures": estimate.failures,
    }


def metric_rows(
    project: str,
    run: str | None,
    model: str,
    split: str,
    register: str,
    rows: Rows,
    context: int,
    text_sha256: str,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Every measure of one model on one text, from its score rows, and the sums of bytes and tokens behind them.

    `run` is None for a model without one, such as a floor. A document that could not be scored is not
    left out, which would flatter the model: it counts as infinitely costly, so each measure of the nll
    is inf without an interval, and `failures` says how many there are. Raises InputError as `estimates` does.
    """
    figures = estimates(rows, resamples, seed)
    failed = figures["bits_per_byte"].failures
    for name in ("bytes", "tokens") if "token_perplexity" in figures else ("bytes",):
        figures[name] = Estimate(sum(row[name] for row in rows), None, None, len(rows), failed)
    return [
        metric_row(
            figure,
            name,
            project=project,
            run=run,
            model=model,
            split=split,
            register=register,
            context=context,
            text_sha256=text_sha256,
        )
        for name, figure in figures.items()
    ]
