"""A table of systems on the same text: the figure of each, and a paired difference beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from kalam.evaluation.bits import Estimate, Rows, family, require_same_text
from kalam.files.errors import InputError


@dataclass(frozen=True)
class Line:
    """What a line is called, its figure, and its difference, of which there may be none."""

    label: str
    figure: Estimate
    difference: Estimate | None


def incomparable(rows: Rows, others: Rows, measure: str) -> str | None:
    """Why two scorings do not compare in a measure, or None: it is per byte of the same text, or per token of the
    same tokens."""
    try:
        require_same_text(rows, others)
    except InputError as error:
        return str(error)
    _, unit, _ = family(measure)[measure]
    mine, theirs = ({row["id"]: row[unit] for row in some} for some in (rows, others))
    return None if mine == theirs else f"it counts other {unit}"


def table(measure: str, difference: str, lines: Sequence[Line]) -> list[str]:
    """The lines of the table under their head; `difference` says what is subtracted from what."""
    width, wide, far = (max(map(len, some)) for some in ([each.label for each in lines], [measure], [difference, ""]))
    head = f"{'':{width}}  {measure:>{wide}}  {'95% interval':16}  {difference:>{far}}  95% interval"
    return [head, *(_line(each, width, wide, far).rstrip() for each in lines)]


def _line(line: Line, width: int, wide: int, far: int) -> str:
    figure = f"{line.label:{width}}  {_value(line.figure):>{wide}}  {_interval(line.figure):16}"
    if line.difference is None:
        return figure
    return f"{figure}  {_value(line.difference, '+'):>{far}}  {_interval(line.difference, '+')}"


def _value(estimate: Estimate, sign: str = "") -> str:
    return "-" if estimate.value is None else f"{estimate.value:{sign}.4f}"


def _interval(estimate: Estimate, sign: str = "") -> str:
    if estimate.failures:
        return f"{estimate.failures} unscored"
    return "-" if estimate.low is None else f"[{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"
