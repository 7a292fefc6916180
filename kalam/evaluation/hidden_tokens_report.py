"""What a masked model has learnt, as metric rows and as a table for people."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from kalam.evaluation.bits import (
    MASKED_MEASURES,
    Estimate,
    Rows,
    documents,
    estimates,
    groups,
    of_parts,
    paired_difference,
    require_same_text,
)
from kalam.evaluation.metrics import estimate_of, metric_row
from kalam.evaluation.run_files import Evaluation, System
from kalam.evaluation.verdict import direction, few_groups

SPLITS = ("validation", "test")
# By role, in the order of the table, what the table calls it.
LABELS = {"floor": "floor, counted", "base": "base", "adapted": "trained"}
EXPLANATION = (
    "Every token of a document is hidden once in each of {draws} draws, {share:.0%} of a window's tokens at a time; "
    "the draws are the same for every line, and a figure is their mean. The loss is in nats per hidden token, the "
    "accuracy the share that was the best guess. These figures depend on the tokenizer: they compare the lines of a "
    "table and nothing else. The floor knows how often each token stands in the training text. Intervals are 95%, "
    "over groups and draws."
)


def evaluate(
    about: Mapping[str, Any],
    base: Mapping[str, Any],
    systems: Sequence[System],
    digests: Mapping[str, Mapping[str, str]],
    resamples: int,
    seed: int,
) -> Evaluation:
    """What a masked run came to (kalam.evaluation.run_files).

    `about` has project, run, language, the `share` of hidden tokens and the number of `draws`; `base` is what
    `base.json` says, `digests` the SHA-256 of the held-out text by split and part.
    """
    metrics = hidden_token_rows(about, systems, digests, resamples, seed)
    return Evaluation(systems, metrics, render(about, base["model"], metrics))


def hidden_token_rows(
    about: Mapping[str, Any],
    systems: Sequence[System],
    digests: Mapping[str, Mapping[str, str]],
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Metric rows of a masked run: each system on each part of each split, and the differences between what was
    trained and the other two.

    Raises InputError where two systems were scored on different texts.
    """
    result = []
    for split in SPLITS:
        scored = {system.role: system for system in systems if system.split == split}
        for part, digest in digests[split].items():
            rows = {role: of_parts(system.rows, [part]) for role, system in scored.items()}
            place = {key: about[key] for key in ("project", "run")}
            place |= {"split": split, "part": part, "context": None, "text_sha256": digest}
            for role, some in rows.items():
                require_same_text(some, rows["adapted"])
                figures = estimates(some, resamples, seed, MASKED_MEASURES)
                figures["hidden_tokens"] = _total(some, "tokens")
                figures["unknown_tokens"] = _total(some, "unknown")
                name = {"system": scored[role].name, "role": role}
                result += [metric_row(figure, metric, **name, **place) for metric, figure in figures.items()]
            name = {"system": scored["adapted"].name, "role": "adapted"}
            for other in ("floor", "base"):
                gap = paired_difference(rows["adapted"], rows[other], resamples, seed, "masked_nll")
                result.append(metric_row(gap, f"masked_nll_minus_{other}", **name, **place))
    return result


def _total(rows: Rows, key: str) -> Estimate:
    """The sum over the documents, of each of which every draw has all tokens."""
    once = {row["id"]: row[key] for row in rows}
    return Estimate(sum(once.values()), None, None, documents(rows), 0, groups(rows))


def render(about: Mapping[str, Any], base: str, metrics: Sequence[dict[str, Any]]) -> str:
    """The report of a masked run, made from its metric rows alone."""
    figures = {(row["role"], row["split"], row["part"], row["metric"]): row for row in metrics}
    places = list(dict.fromkeys((row["split"], row["part"]) for row in metrics))
    sections = [
        [f"Hidden tokens: project {about['project']}, run {about['run']} of {base}", f"language {about['language']}"],
        textwrap.wrap(EXPLANATION.format(share=1 / round(1 / about["share"]), draws=about["draws"]), 100),
    ]
    for split, part in places:
        some = figures["adapted", split, part, "hidden_tokens"]
        lines = [
            f"Register {part}, split {split}: {some['n']} documents in {some['groups']} groups, "
            f"{some['value']:,d} hidden tokens",
            f"{'':16}  {'nats/token':>10}  {'95% interval':16}  {'accuracy':>8}",
        ]
        for role, label in LABELS.items():
            loss, hits = (figures[role, split, part, metric] for metric in MASKED_MEASURES)
            interval = "-" if loss["low"] is None else f"[{loss['low']:.4f}, {loss['high']:.4f}]"
            lines.append(f"{label:16}  {loss['value']:10.4f}  {interval:16}  {hits['value']:8.3f}")
        sections.append(lines)
    sentences = []
    for split, part in places:
        if split == "test":
            sentences.append(_sentence(part, estimate_of(figures["adapted", split, part, "masked_nll_minus_floor"])))
            if unknown := figures["adapted", split, part, "unknown_tokens"]["value"]:
                sentences.append(f"Of its tokens {unknown:,d} are unknown to the tokenizer.")
    sections.append(textwrap.wrap(" ".join(sentences), 100))
    for split, part in places:
        some = figures["adapted", split, part, "masked_nll"]
        for warning in few_groups(f"{part}, split {split},", some["n"], some["groups"]):
            sections.append(textwrap.wrap(f"Warning: {warning}", 100))
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _sentence(part: str, gap: Estimate) -> str:
    size = f"{abs(gap.value):.4f} nats a token [{gap.low:+.4f}, {gap.high:+.4f}]" if gap.low is not None else ""
    match direction(gap):
        case "fewer":
            return f"On {part} the trained model is {size} below the floor: it has learnt more than frequencies."
        case "more":
            return f"On {part} the trained model is {size} above the floor: counting tokens predicts better."
        case "unclear":
            return f"On {part} the trained model cannot be told from the floor."
        case _:
            return f"On {part} nothing can be said, since there is no interval for {gap.groups} group(s)."
