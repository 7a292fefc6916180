"""What an instruction-tuned model has learnt to answer, as metric rows and as a table for people."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kalam.evaluation.bits import (
    ANSWER_MEASURES,
    Estimate,
    estimates,
    groups,
    of_parts,
    paired_difference,
    require_same_text,
)
from kalam.evaluation.metrics import estimate_of, metric_row
from kalam.evaluation.run_files import Evaluation, System
from kalam.evaluation.verdict import direction, few_groups

SPLIT = "test"
# By role, in the order of the table, what the table calls it.
LABELS = {"floor": "floor, counted", "base": "base", "adapted": "instructed"}
EXPLANATION = (
    "Bits per byte of the answers, each given all that was said before it; what ends an answer is paid for too. The "
    "floor counts characters of the training answers and reads no question. The accuracy is the share of the answers' "
    "tokens that were the best guess. Intervals are 95%, over groups of conversations."
)


def evaluate(
    about: Mapping[str, Any],
    base: Mapping[str, Any],
    systems: Sequence[System],
    digests: Mapping[str, Mapping[str, str]],
    resamples: int,
    seed: int,
) -> Evaluation:
    """What an instruct run came to (kalam.evaluation.run_files).

    `about` has project, run, language and the `outcome` of the training; `base` is what `base.json` says, `digests`
    the SHA-256 of the held-out conversations by split and part.
    """
    metrics = answer_rows(about, systems, digests[SPLIT], resamples, seed)
    return Evaluation(systems, metrics, render(about, base["run"] or base["model"], metrics))


def answer_rows(
    about: Mapping[str, Any], systems: Sequence[System], digests: Mapping[str, str], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Metric rows of an instruct run: each system on each part, and what was trained minus the others.

    Raises InputError where two systems were scored on different answers.
    """
    scored = {system.role: system for system in systems}
    result = []
    for part, digest in digests.items():
        place = {"project": about["project"], "run": about["run"], "split": SPLIT, "part": part}
        place |= {"context": None, "text_sha256": digest}
        rows = {role: of_parts(system.rows, [part]) for role, system in scored.items()}
        for role, some in rows.items():
            require_same_text(some, rows["adapted"])
            figures = estimates(some, resamples, seed, ANSWER_MEASURES)
            size = sum(row["bytes"] for row in some)
            figures["bytes"] = Estimate(size, None, None, len(some), 0, groups(some))
            name = {"system": scored[role].name, "role": role}
            result += [metric_row(figure, metric, **name, **place) for metric, figure in figures.items()]
        name = {"system": scored["adapted"].name, "role": "adapted"}
        for other in ("floor", "base"):
            gap = paired_difference(rows["adapted"], rows[other], resamples, seed)
            result.append(metric_row(gap, f"bits_per_byte_minus_{other}", **name, **place))
    return result


def render(about: Mapping[str, Any], base: str, metrics: Sequence[dict[str, Any]]) -> str:
    """The report of an instruct run, made from its metric rows and the outcome of its training."""
    figures = {(row["role"], row["part"], row["metric"]): row for row in metrics}
    parts = list(dict.fromkeys(row["part"] for row in metrics))
    sections = [
        [
            f"Answers: project {about['project']}, run {about['run']} of {base}",
            f"language {about['language']}, split {SPLIT}",
        ],
        textwrap.wrap(EXPLANATION, 100),
        *(_table(figures, part) for part in parts),
        textwrap.wrap(" ".join(sentence for part in parts for sentence in _sentences(figures, part)), 100),
        *(textwrap.wrap(f"Warning: {warning}", 100) for warning in _warnings(about, figures, parts)),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _table(figures: Mapping[tuple[str, str, str], dict[str, Any]], part: str) -> list[str]:
    size = figures["adapted", part, "bytes"]
    lines = [
        f"Register {part}: {size['n']} conversations in {size['groups']} groups, {size['value']:,d} bytes of answers",
        f"{'':16}  {'bits/byte':>10}  {'95% interval':16}  {'accuracy':>8}",
    ]
    for role, label in LABELS.items():
        bits, hits = figures[role, part, "bits_per_byte"], figures.get((role, part, "answer_accuracy"))
        interval = "-" if bits["low"] is None else f"[{bits['low']:.4f}, {bits['high']:.4f}]"
        lines.append(f"{label:16}  {bits['value']:10.4f}  {interval:16}  {_share(hits):>8}")
    return lines


def _share(figure: dict[str, Any] | None) -> str:
    return "-" if figure is None else f"{figure['value']:.3f}"


def _sentences(figures: Mapping[tuple[str, str, str], dict[str, Any]], part: str) -> Iterator[str]:
    for other, name in (("base", "the base"), ("floor", "the floor")):
        gap = estimate_of(figures["adapted", part, f"bits_per_byte_minus_{other}"])
        size = "" if gap.value is None else f"{abs(gap.value):.4f} bits per byte"
        match direction(gap):
            case "fewer":
                yield f"On {part} the instructed model is {size} below {name} [{gap.low:+.4f}, {gap.high:+.4f}]."
            case "more":
                yield f"On {part} the instructed model is {size} above {name} [{gap.low:+.4f}, {gap.high:+.4f}]."
            case "unclear":
                yield f"On {part} the instructed model cannot be told from {name}."
            case _:
                yield f"On {part} nothing can be said about {name}, since there is no interval."


def _warnings(
    about: Mapping[str, Any], figures: Mapping[tuple[str, str, str], dict[str, Any]], parts: Sequence[str]
) -> Iterator[str]:
    for split, count in about["outcome"].get("left_out", {}).items():
        if count:
            yield f"{count} conversations of the {split} split were longer than the context and were left out."
    for part in parts:
        bits = figures["adapted", part, "bits_per_byte"]
        if bits["failures"]:
            yield f"{bits['failures']} of {bits['n']} conversations of {part} are too long for the model."
        yield from few_groups(part, bits["n"], bits["groups"], "conversations")
