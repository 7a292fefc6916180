"""`ppl.txt`: the comparison of a run as tables and one sentence for people."""

import textwrap
from collections.abc import Iterator
from typing import Any

from kalam.evaluation.bits import Estimate
from kalam.evaluation.comparison import Report, compared, differences, in_role
from kalam.evaluation.verdict import FEWEST_DOCUMENTS, direction, verdict

WIDTH = 100
EXPLANATION = (
    "Fewer bits per byte are better. They compare between all lines of a table, which are about the same text "
    "under the same context; token perplexities compare within one tokenizer only. Intervals are 95%, over documents."
)

Figures = dict[tuple[str, str | None, str, str], dict[str, Any]]  # metric rows by model, run, register, metric


def render(report: Report) -> str:
    """The text of `ppl.txt`, made from the report's metric rows alone."""
    figures = {(row["model"], row["run"], row["register"], row["metric"]): row for row in report["metrics"]}
    gaps = {pair: _difference(report, figures, *pair) for pair in differences(report)}
    parts = [
        [
            f"Perplexity: project {report['project']}, run {report['run']}",
            f"language {report['language']}, split {report['split']}, context {report['context']} bytes of text",
        ],
        _fill(EXPLANATION),
        *(_table(report, figures, kind, register) for kind in ("target", "general") for register in report[kind]),
        [line for system in report["systems"] if system["reason"] is not None for line in _fill(_left_out(system))],
        _gap_table(report, gaps),
        _fill(_sentence(report, gaps)),
        *(_fill(f"Warning: {warning}") for warning in _warnings(report, figures, gaps)),
        [f"{what}: {where}" for what, where in report["files"].items()],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _table(report: Report, figures: Figures, kind: str, register: str) -> list[str]:
    width = max(len(system["label"]) for system in compared(report))
    head = f"{'':{width}}  {'bits/byte':>9}  {'95% interval':16}  {'token perpl.':>12}  {'tokens':>10}  {'bytes':>11}"
    lines = []
    for system in compared(report):
        found = {
            metric: figures.get((system["model"], system["run"], register, metric))
            for metric in ("bits_per_byte", "token_perplexity", "tokens", "bytes")
        }
        bits = found["bits_per_byte"]
        lines.append(
            f"{system['label']:{width}}  {bits['value']:9.4f}  {_interval(bits):16}  "
            f"{_cell(found['token_perplexity'], ',.2f'):>12}  {_cell(found['tokens'], ',d'):>10}  "
            f"{_cell(found['bytes'], ',d'):>11}"
        )
    digest = report["text_sha256"][register][:12]
    return [f"Register {register} ({kind}): {bits['n']} documents, SHA-256 of the text {digest}...", head, *lines]


def _gap_table(report: Report, gaps: dict[tuple[str, str, str], Estimate]) -> list[str]:
    names = {pair: f"{_registers(report, pair[2])}: {pair[0]} - {pair[1].replace('_', ' of ')}" for pair in gaps}
    width = max(map(len, names.values()))
    lines = ["Differences in bits per byte, document by document (below zero: the first is better)"]
    for pair, gap in gaps.items():
        value = "-" if gap.value is None else f"{gap.value:+.4f}"
        lines.append(f"{names[pair]:{width}}  {value:>9}  {_interval(vars(gap), '+'):18}  {gap.n} documents")
    return lines


def _sentence(report: Report, gaps: dict[tuple[str, str, str], Estimate]) -> str:
    return verdict(
        gain=gaps["adapted", "base", "target"],
        floor=gaps["adapted", "floor", "target"],
        forgot=gaps.get(("adapted", "base", "general")),
        target=_registers(report, "target"),
        general=_registers(report, "general"),
    )


def _warnings(report: Report, figures: Figures, gaps: dict[tuple[str, str, str], Estimate]) -> Iterator[str]:
    sizes = {}
    for system in compared(report):
        for register in report["target"] + report["general"]:
            bits = figures[system["model"], system["run"], register, "bits_per_byte"]
            sizes[register] = bits["n"]
            if bits["failures"]:
                yield (
                    f"{system['label']} could not score {bits['failures']} of {bits['n']} documents of {register}; "
                    "each counts as infinitely costly."
                )
    for register, n in sizes.items():
        if n < FEWEST_DOCUMENTS:
            yield f"{register} has {n} documents; with fewer than {FEWEST_DOCUMENTS} an interval is too narrow."
    weak = gaps.get(("base", "floor_base", "target"))
    if weak and direction(weak) == "more":
        yield (
            f"on {_registers(report, 'target')} the base predicts worse than counted characters of its own training "
            "text, and from such a base every gain looks large."
        )


def _difference(report: Report, figures: Figures, first: str, second: str, kind: str) -> Estimate:
    system = in_role(report, first)
    row = figures[system["model"], system["run"], "+".join(report[kind]), f"bits_per_byte_minus_{second}"]
    return Estimate(row["value"], row["low"], row["high"], row["n"], row["failures"])


def _left_out(system: dict[str, Any]) -> str:
    return f"{system['label']}: not compared, {system['reason']}"


def _registers(report: Report, kind: str) -> str:
    return " and ".join(report[kind])


def _interval(figure: dict[str, Any], sign: str = "") -> str:
    if figure["failures"]:
        return f"{figure['failures']} unscored"
    return "-" if figure["low"] is None else f"[{figure['low']:{sign}.4f}, {figure['high']:{sign}.4f}]"


def _cell(figure: dict[str, Any] | None, form: str) -> str:
    return "-" if figure is None else f"{figure['value']:{form}}"


def _fill(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
