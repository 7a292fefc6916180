"""Floors, candidates, base and adapted model of a run on the same text, as metric rows."""

from collections.abc import Iterator
from typing import Any, TypedDict

from kalam.evaluation.bits import Rows, of_registers, paired_difference, require_same_text
from kalam.evaluation.metrics import metric_row, metric_rows
from kalam.files.errors import InputError

# What is subtracted from what, by role, and on which registers. A base that predicts worse than
# its own floor makes every gain look large, so that is measured too.
DIFFERENCES = [
    ("adapted", "base", "target"),
    ("adapted", "base", "general"),
    ("adapted", "floor", "target"),
    ("base", "floor_base", "target"),
]


class System(TypedDict):
    """One line of every table.

    role: `base`, `adapted` and `floor` once each, `floor_base` at most once, `candidate` any number of
    times. `floor` counted all the text that the adapted model was trained on, the base's included,
    `floor_base` the base's only. model and run are those of its metric rows, so the pair is unique.
    rows: its score rows on all registers. reason: why it is not compared, or None.
    """

    label: str
    role: str
    model: str
    run: str | None
    rows: Rows
    reason: str | None


class Report(TypedDict):
    """A comparison. context: bytes; target: the registers adapted to; general: others, which show what was
    forgotten (may be empty); text_sha256: by register; systems: in the order of the tables; files: what lies
    where, for the footer; metrics: what `ppl_rows` makes of the rest (numbers, not strings)."""

    project: str
    language: str
    run: str
    split: str
    context: int
    target: list[str]
    general: list[str]
    text_sha256: dict[str, str]
    systems: list[System]
    files: dict[str, str]
    metrics: list[dict[str, Any]]


def ppl_rows(report: Report, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Metric rows: each system on each register, then the paired differences.

    A difference has the metric `bits_per_byte_minus_<role>` and the model and run it is subtracted
    from; over several registers these are joined by `+`. Raises InputError where a system lacks a
    register, or two were scored on different texts.
    """
    names = [(system["model"], system["run"]) for system in report["systems"]]
    if len(set(names)) < len(names):
        raise ValueError(f"two systems of one report have the same model and run: {names}")
    place = {key: report[key] for key in ("project", "split", "context")}
    result = []
    for register in report["target"] + report["general"]:
        reference = None
        for system in compared(report):
            rows = of_registers(system["rows"], [register])
            reference = reference or rows
            require_same_text(rows, reference)
            result += metric_rows(
                run=system["run"],
                model=system["model"],
                register=register,
                rows=rows,
                text_sha256=report["text_sha256"][register],
                resamples=resamples,
                seed=seed,
                **place,
            )
    for first, second, kind in differences(report):
        minuend, subtrahend, registers = in_role(report, first), in_role(report, second), report[kind]
        rows, baseline = (of_registers(system["rows"], registers) for system in (minuend, subtrahend))
        row = metric_row(
            paired_difference(rows, baseline, resamples, seed),
            f"bits_per_byte_minus_{second}",
            run=minuend["run"],
            model=minuend["model"],
            register="+".join(registers),
            text_sha256=report["text_sha256"][registers[0]] if len(registers) == 1 else None,
            **place,
        )
        result.append(row)
    return result


def compared(report: Report) -> list[System]:
    """The systems that have figures."""
    return [system for system in report["systems"] if system["reason"] is None]


def differences(report: Report) -> Iterator[tuple[str, str, str]]:
    """The pairs of roles that this report can subtract, with `target` or `general`."""
    roles = {system["role"] for system in compared(report)}
    for first, second, kind in DIFFERENCES:
        if report[kind] and (second != "floor_base" or second in roles):
            yield first, second, kind


def in_role(report: Report, role: str) -> System:
    """The one system of a role. Raises InputError where there is none or more."""
    found = [system for system in compared(report) if system["role"] == role]
    if len(found) != 1:
        raise InputError(f"perplexity of run {report['run']}: {len(found)} systems are its {role}, 1 is allowed")
    return found[0]
