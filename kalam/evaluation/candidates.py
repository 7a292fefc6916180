"""Which base model codes the language best: candidates compared on the same text, and the choice."""

from collections.abc import Mapping, Sequence
from typing import Any

from kalam.evaluation.bits import Estimate, Rows, estimates, of_registers, require_same_text
from kalam.files.errors import InputError

CANDIDATE_COLUMNS = [
    "model",
    "bits_per_byte",
    "low",
    "high",
    "token_perplexity",
    "tokens_per_byte",
    "tokens",
    "bytes",
    "n",
    "failures",
    "eligible",
    "reason",
]


def compare(
    candidates: Mapping[str, dict[str, Any]],
    registers: Sequence[str],
    max_bits_per_byte: float,
    choice: str,
    *,
    split: str = "validation",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The table under CANDIDATE_COLUMNS, in the order given, and the best: model, bits_per_byte, split, registers,
    choice.

    A candidate is {"rows": score rows, "eligible": bool, "reason": str or None}. One that comes in as not
    eligible (its tokenizer loses text, say) has no comparable figures and gets none. Not eligible either is
    one that could not score every document, is above `max_bits_per_byte` or comes in `barred` for the reason it
    gives (it cannot be exported, say). `choice` is `lowest`, where a
    tie goes to the first one, or the name of a candidate.

    Raises InputError where none is eligible, with each one's reason, where the chosen one is not, and where
    the candidates were scored on different texts.
    """
    if choice != "lowest" and choice not in candidates:
        raise InputError(f"candidates.choice: {choice}, allowed are lowest, {', '.join(candidates)}")
    table, reference = [], None
    for name, candidate in candidates.items():
        if not candidate["eligible"]:
            table.append(_row(name, None, [], candidate["reason"] or "not eligible"))
            continue
        rows = of_registers(candidate["rows"], registers)
        reference = reference or rows
        require_same_text(rows, reference)
        figures = estimates(rows, resamples, seed)
        reason = _objection(figures["bits_per_byte"], rows, max_bits_per_byte) or candidate.get("barred")
        table.append(_row(name, figures, rows, reason))

    eligible = [row for row in table if row["eligible"]]
    if not eligible:
        raise InputError("candidates: none is eligible: " + "; ".join(f"{r['model']}: {r['reason']}" for r in table))
    if choice == "lowest":
        best = min(eligible, key=lambda row: row["bits_per_byte"])
    else:
        best = next(row for row in table if row["model"] == choice)
        if not best["eligible"]:
            raise InputError(f"candidates.choice: {choice} is not eligible: {best['reason']}")
    return table, {
        "model": best["model"],
        "bits_per_byte": best["bits_per_byte"],
        "split": split,
        "registers": list(registers),
        "choice": choice,
    }


def _objection(bits: Estimate, rows: Rows, limit: float) -> str | None:
    if bits.failures:
        kinds = sorted({row["failure"] for row in rows if row.get("failure")})
        why = f" ({', '.join(kinds)})" if kinds else ""
        return f"{bits.failures} of {bits.n} documents could not be scored{why}"
    if bits.value > limit:
        return f"{bits.value:.4f} bits per byte, above max_bits_per_byte {limit:g}"
    return None


def _row(name: str, figures: dict[str, Estimate] | None, rows: Rows, reason: str | None) -> dict[str, Any]:
    row = dict.fromkeys(CANDIDATE_COLUMNS) | {"model": name, "eligible": reason is None, "reason": reason}
    if figures is None:
        return row
    bits = figures["bits_per_byte"]
    return row | {
        "bits_per_byte": bits.value,
        "low": bits.low,
        "high": bits.high,
        "token_perplexity": figures["token_perplexity"].value,
        "tokens_per_byte": figures["tokens_per_byte"].value,
        "tokens": sum(r["tokens"] for r in rows),
        "bytes": sum(r["bytes"] for r in rows),
        "n": bits.n,
        "failures": bits.failures,
    }
