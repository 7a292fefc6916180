"""The report of a causal run: a comparison as tables and one sentence for people."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kalam.evaluation.comparison import SPLIT, Comparison, comparison_rows, objection, with_base
from kalam.evaluation.metrics import estimate_of
from kalam.evaluation.run_files import Evaluation, System
from kalam.evaluation.verdict import Gaps, direction, few_groups, told, verdict

WIDTH = 100
KINDS = ("target", "general")
EXPLANATION = (
    "Fewer bits per byte are better. They compare between all lines of a table, which are about the same text "
    "under the same context; token perplexities compare within one tokenizer only. Intervals are 95%, over groups: "
    "documents of one work are drawn together."
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
    gaps = {pair: _differences(comparison, figures, *pair) for pair in comparison.differences()}
    sections = [
        [
            f"Perplexity: project {comparison.project}, run {comparison.run}",
            f"language {comparison.language}, split {SPLIT}, context {comparison.context} bytes of text",
        ],
        _fill(EXPLANATION),
        *(_table(comparison, figures, kind, part) for kind in KINDS for part in getattr(comparison, kind)),
        [line for system in comparison.systems if objection(system) for line in _fill(_left_out(comparison, system))],
        _gap_table(gaps),
        _fill(_sentence(gaps)),
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
    size = f"{bits['n']} documents in {bits['groups']} groups"
    return [f"Register {part} ({kind}): {size}, SHA-256 of the text {digest}...", head, *lines]


def _gap_table(gaps: dict[tuple[str, str, str], Gaps]) -> list[str]:
    lines = {
        f"{name}: {first} - {second.replace('_', ' of ')}": gap
        for (first, second, _), some in gaps.items()
        for name, gap in some.items()
    }
    width = max(map(len, lines))
    table = ["Differences in bits per byte, document by document (below zero: the first is better)"]
    for label, gap in lines.items():
        value = "-" if gap.value is None else f"{gap.value:+.4f}"
        size = f"{gap.n} documents in {gap.groups} groups"
        table.append(f"{label:{width}}  {value:>9}  {_interval(vars(gap), '+'):18}  {size}")
    return table


def _sentence(gaps: dict[tuple[str, str, str], Gaps]) -> str:
    return verdict(
        gain=gaps["adapted", "base", "target"],
        floor=gaps["adapted", "floor", "target"],
        forgot=gaps.get(("adapted", "base", "general"), {}),
    )


def _warnings(comparison: Comparison, figures: Figures, gaps: dict[tuple[str, str, str], Gaps]) -> Iterator[str]:
    sizes = {}
    for system in comparison.compared:
        for part in [*comparison.target, *comparison.general]:
            bits = figures[system.role, system.name, part, "bits_per_byte"]
            sizes[part] = bits["n"], bits["groups"]
            if bits["failures"]:
                yield (
                    f"{comparison.label(system)} could not score {bits['failures']} of {bits['n']} documents of "
                    f"{part}; each counts as infinitely costly."
                )
    for part, (n, groups) in sizes.items():
        yield from few_groups(part, n, groups)
    weaknesses = gaps.get(("base", "floor_base", "target"))
    for name, weak in told(weaknesses).items() if weaknesses else ():
        if direction(weak) == "more":
            yield (
                f"on {name} the base predicts worse than counted characters of its own training text, and from such a "
                "base every gain looks large."
            )


def _differences(comparison: Comparison, figures: Figures, first: str, second: str, kind: str) -> Gaps:
    """The difference on each part of a kind, and on all of them where there are several."""
    system, metric = comparison.in_role(first), f"bits_per_byte_minus_{second}"
    return {
        " and ".join(parts): estimate_of(figures[first, system.name, "+".join(parts), metric])
        for parts in comparison.pools(kind)
    }


def _left_out(comparison: Comparison, system: System) -> str:
    return f"{comparison.label(system)}: not compared, {objection(system)}"


def _interval(figure: dict[str, Any], sign: str = "") -> str:
    if figure["failures"]:
        return f"{figure['failures']} unscored"
    return "-" if figure["low"] is None else f"[{figure['low']:{sign}.4f}, {figure['high']:{sign}.4f}]"


def _cell(figure: dict[str, Any] | None, form: str) -> str:
    return "-" if figure is None else f"{figure['value']:{form}}"


def _fill(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
