"""What a masked model has learnt, as metric rows and as a table for people."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kalam.evaluation.bits import (
    MASKED_MEASURES,
    Estimate,
    estimates,
    of_registers,
    paired_difference,
    require_same_text,
)
from kalam.evaluation.metrics import metric_row
from kalam.evaluation.verdict import direction
from kalam.files.jsonl import read_jsonl

SPLITS = ("validation", "test")
# By folder, in the order of the table: what is scored, and what the table calls it.
SYSTEMS = {"floor": "floor, counted", "base": "base", "trained": "trained"}
EXPLANATION = (
    "Every token of a document is hidden once, {share:.0%} of a window's tokens at a time, by the same draw for "
    "every line. The loss is in nats per hidden token, the accuracy the share that was the best guess. These figures "
    "depend on the tokenizer: they compare the lines of a table and nothing else. The floor knows how often each "
    "token stands in the training text. Intervals are 95%, over documents."
)


def masked_rows(
    project: str, run: str, base: str, results: Path, digests: dict[str, dict[str, str]], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """Metric rows of a masked run: each system on each register of each split, and the differences
    between what was trained and the other two.

    `results` is the run's folder; `digests` has the SHA-256 of the text by split and register. Raises
    InputError where two systems were scored on different texts.
    """
    result = []
    for split in SPLITS:
        scored = {system: list(read_jsonl(results / "masked" / system / f"{split}.jsonl")) for system in SYSTEMS}
        for register, digest in digests[split].items():
            rows = {system: of_registers(some, [register]) for system, some in scored.items()}
            place = {
                "project": project,
                "split": split,
                "register": register,
                "context": None,
                "text_sha256": digest,
            }
            for system, some in rows.items():
                require_same_text(some, rows["trained"])
                name = {"model": base, "run": run} if system == "trained" else {"model": system, "run": run}
                figures = estimates(some, resamples, seed, MASKED_MEASURES)
                figures["hidden_tokens"] = _total(some, "tokens")
                figures["unknown_tokens"] = _total(some, "unknown")
                result += [metric_row(figure, metric, **name, **place) for metric, figure in figures.items()]
            for other in ("floor", "base"):
                gap = paired_difference(rows["trained"], rows[other], resamples, seed, "masked_nll")
                result.append(metric_row(gap, f"masked_nll_minus_{other}", model=base, run=run, **place))
    return result


def _total(rows: Sequence[dict[str, Any]], key: str) -> Estimate:
    return Estimate(sum(row[key] for row in rows), None, None, len(rows), 0)


def render_masked(project: str, run: str, base: str, language: str, share: float, metrics: list[dict[str, Any]]) -> str:
    """The part of `ppl.txt` about a masked run, made from its metric rows alone."""
    figures = {(row["model"], row["split"], row["register"], row["metric"]): row for row in metrics}
    places = list(dict.fromkeys((row["split"], row["register"]) for row in metrics))
    names = {base if system == "trained" else system: label for system, label in SYSTEMS.items()}
    parts = [
        [f"Hidden tokens: project {project}, run {run} of {base}", f"language {language}"],
        textwrap.wrap(EXPLANATION.format(share=1 / round(1 / share)), 100),
    ]
    for split, register in places:
        some = figures[base, split, register, "hidden_tokens"]
        lines = [
            f"Register {register}, split {split}: {some['n']} documents, {some['value']:,d} hidden tokens",
            f"{'':16}  {'nats/token':>10}  {'95% interval':16}  {'accuracy':>8}",
        ]
        for model, label in names.items():
            loss, hits = (figures[model, split, register, metric] for metric in MASKED_MEASURES)
            interval = "-" if loss["low"] is None else f"[{loss['low']:.4f}, {loss['high']:.4f}]"
            lines.append(f"{label:16}  {loss['value']:10.4f}  {interval:16}  {hits['value']:8.3f}")
        parts.append(lines)
    sentences = []
    for split, register in places:
        if split == "test":
            gap = figures[base, split, register, "masked_nll_minus_floor"]
            sentences.append(_sentence(register, Estimate(**{key: gap[key] for key in Estimate.__annotations__})))
            if unknown := figures[base, split, register, "unknown_tokens"]["value"]:
                sentences.append(f"Of its tokens {unknown:,d} are unknown to the tokenizer.")
    parts.append(textwrap.wrap(" ".join(sentences), 100))
    parts.append([f"Loss curves: runs/{run}/curves.svg", f"Fillings: runs/{run}/fillings.html", "Figures: metrics.tsv"])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _sentence(register: str, gap: Estimate) -> str:
    size = f"{abs(gap.value):.4f} nats a token [{gap.low:+.4f}, {gap.high:+.4f}]" if gap.low is not None else ""
    match direction(gap):
        case "fewer":
            return f"On {register} the trained model is {size} below the floor: it has learnt more than frequencies."
        case "more":
            return f"On {register} the trained model is {size} above the floor: counting tokens predicts better."
        case "unclear":
            return f"On {register} the trained model cannot be told from the floor."
        case _:
            return f"On {register} nothing can be said, since there is no interval for {gap.n} document(s)."
