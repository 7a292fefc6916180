"""The report of a causal run: a comparison as tables and one sentence for people."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kalam.evaluation.bits import Estimate
from kalam.evaluation.comparison import SPLIT, Comparison, comparison_rows, objection, with_base
from kalam.evaluation.metrics import estimate_of
from kalam.evaluation.run_files import Evaluation, System
from kalam.evaluation.verdict import FEWEST_DOCUMENTS, direction, verdict

WIDTH = 100
KINDS = ("target", "general")
EXPLANATION = (
    "Fewer bits per byte are better. They compare between all lines of a table, which are about the same text "
    "under the same context; token perplexities compare within one tokenizer only. Intervals are 95%, over documents."
)

Figures = dict[tuple[str, str, str, str], dict[str, Any]]  # metric rows by role, system, part, metric


def evaluate(
    about: Mapping[str, Any],
    base: Mapping[str, Any],
    systems: Sequence[System],
    digests: Mapping[str, Mapping[str, str]],
    resamples: int,
    seed: int,
) -> Evaluation:
    """What a causal run came to (kalam.evaluation.run_files).

    `about` has project, run, language, context and the `parts` that the run was trained on; `base` is what
    `base.json` says, `digests` the SHA-256 of the held-out text by split and part.
    """
    comparison = Comparison(
        project=about["project"],
        run=about["run"],
        language=about["language"],
        base=base,
        context=about["context"],
        target=about["parts"],
        general=[part for part in digests[SPLIT] if part not in about["parts"]],
        text_sha256=digests[SPLIT],
        systems=with_base(systems, base),
    )
    metrics = comparison_rows(comparison, resamples, seed)
    return Evaluation(comparison.systems, metrics, render(comparison, metrics))


def render(comparison: Comparison, metrics: Sequence[dict[str, Any]]) -> str:
    """The report, made from the comparison's metric rows alone."""
    figures = {(row["role"], row["system"], row["part"], row["metric"]): row for row in metrics}
    gaps = {pair: _difference(comparison, figures, *pair) for pair in comparison.differences()}
    sections = [
        [
            f"Perplexity: project {comparison.project}, run {comparison.run}",
            f"language {comparison.language}, split {SPLIT}, context {comparison.context} bytes of text",
        ],
        _fill(EXPLANATION),
        *(_table(comparison, figures, kind, part) for kind in KINDS for part in getattr(comparison, kind)),
        [line for system in comparison.systems if objection(system) for line in _fill(_left_out(comparison, system))],
        _gap_table(comparison, gaps),
        _fill(_sentence(comparison, gaps)),
        *(_fill(f"Warning: {warning}") for warning in _warnings(comparison, figures, gaps)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _table(comparison: Comparison, figures: Figures, kind: str, part: str) -> list[str]:
    labels = {id(system): comparison.label(system) for system in comparison.compared}
    width = max(map(len, labels.values()))
    head = f"{'':{width}}  {'bits/byte':>9}  {'95% interval':16}  {'token perpl.':>12}  {'tokens':>10}  {'bytes':>11}"
    lines = []
    for system in comparison.compared:
        found = {
            metric: figures.get((system.role, system.name, part, metric))
            for metric in ("bits_per_byte", "token_perplexity", "tokens", "bytes")
        }
        bits = found["bits_per_byte"]
        lines.append(
            f"{labels[id(system)]:{width}}  {bits['value']:9.4f}  {_interval(bits):16}  "
            f"{_cell(found['token_perplexity'], ',.2f'):>12}  {_cell(found['tokens'], ',d'):>10}  "
            f"{_cell(found['bytes'], ',d'):>11}"
        )
    digest = comparison.text_sha256[part][:12]
    return [f"Register {part} ({kind}): {bits['n']} documents, SHA-256 of the text {digest}...", head, *lines]


def _gap_table(comparison: Comparison, gaps: dict[tuple[str, str, str], Estimate]) -> list[str]:
    names = {pair: f"{_names(comparison, pair[2])}: {pair[0]} - {pair[1].replace('_', ' of ')}" for pair in gaps}
    width = max(map(len, names.values()))
    lines = ["Differences in bits per byte, document by document (below zero: the first is better)"]
    for pair, gap in gaps.items():
        value = "-" if gap.value is None else f"{gap.value:+.4f}"
        lines.append(f"{names[pair]:{width}}  {value:>9}  {_interval(vars(gap), '+'):18}  {gap.n} documents")
    return lines


def _sentence(comparison: Comparison, gaps: dict[tuple[str, str, str], Estimate]) -> str:
    return verdict(
        gain=gaps["adapted", "base", "target"],
        floor=gaps["adapted", "floor", "target"],
        forgot=gaps.get(("adapted", "base", "general")),
        target=_names(comparison, "target"),
        general=_names(comparison, "general"),
    )


def _warnings(comparison: Comparison, figures: Figures, gaps: dict[tuple[str, str, str], Estimate]) -> Iterator[str]:
    sizes = {}
    for system in comparison.compared:
        for part in [*comparison.target, *comparison.general]:
            bits = figures[system.role, system.name, part, "bits_per_byte"]
            sizes[part] = bits["n"]
            if bits["failures"]:
                yield (
                    f"{comparison.label(system)} could not score {bits['failures']} of {bits['n']} documents of "
                    f"{part}; each counts as infinitely costly."
                )
    for part, n in sizes.items():
        if n < FEWEST_DOCUMENTS:
            yield f"{part} has {n} documents; with fewer than {FEWEST_DOCUMENTS} an interval is too narrow."
    weak = gaps.get(("base", "floor_base", "target"))
    if weak and direction(weak) == "more":
        yield (
            f"on {_names(comparison, 'target')} the base predicts worse than counted characters of its own training "
            "text, and from such a base every gain looks large."
        )


def _difference(comparison: Comparison, figures: Figures, first: str, second: str, kind: str) -> Estimate:
    system = comparison.in_role(first)
    parts = "+".join(getattr(comparison, kind))
    return estimate_of(figures[first, system.name, parts, f"bits_per_byte_minus_{second}"])


def _left_out(comparison: Comparison, system: System) -> str:
    return f"{comparison.label(system)}: not compared, {objection(system)}"


def _names(comparison: Comparison, kind: str) -> str:
    return " and ".join(getattr(comparison, kind))


def _interval(figure: dict[str, Any], sign: str = "") -> str:
    if figure["failures"]:
        return f"{figure['failures']} unscored"
    return "-" if figure["low"] is None else f"[{figure['low']:{sign}.4f}, {figure['high']:{sign}.4f}]"


def _cell(figure: dict[str, Any] | None, form: str) -> str:
    return "-" if figure is None else f"{figure['value']:{form}}"


def _fill(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
