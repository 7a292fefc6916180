"""Which base model codes the language best: candidates compared on the same text, and the choice."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kalam.evaluation.bits import Estimate, Rows, estimates, of_parts, require_same_text
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_json
from kalam.files.tables import write_tsv

SPLIT = "validation"
CANDIDATE_COLUMNS = [
    "model",
    "part",
    "bits_per_byte",
    "low",
    "high",
    "token_perplexity",
    "tokens_per_byte",
    "tokens",
    "bytes",
    "n",
    "groups",
    "failures",
    "eligible",
    "reason",
]


def choose(
    scores: Mapping[str, str | Path],
    metas: Mapping[str, str | Path],
    parts: Sequence[str],
    max_bits_per_byte: float,
    choice: str,
    exportable: Callable[[Path], str | None] | None,
    resamples: int,
    seed: int,
    table: str | Path,
    best: str | Path,
) -> None:
    """Write the table of the candidates, and the best one.

    By the name of each candidate, `scores` are its rows on the validation split and `metas` its `meta.json`. Where
    the best one is to be exported, `exportable` says why the model in a folder cannot be. Raises InputError as
    `compare` does.
    """
    candidates = {}
    for name, file in scores.items():
        reason = exportable(Path(metas[name]).parent) if exportable else None
        candidates[name] = list(read_jsonl(file)), reason and f"cannot be exported: {reason}"
    rows, chosen = compare(candidates, parts, max_bits_per_byte, choice, resamples, seed)
    write_tsv(table, rows, CANDIDATE_COLUMNS)
    write_json(best, chosen)


def compare(
    candidates: Mapping[str, tuple[Rows, str | None]],
    parts: Sequence[str],
    max_bits_per_byte: float,
    choice: str,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The table under CANDIDATE_COLUMNS, in the order given, and the best: model, bits_per_byte, split, parts, choice.

    The choice is by the figure of all `parts`, whose names are joined by `+`; where there are several, each has a row
    of its own as well.

    A candidate is its score rows, and why it is barred from the choice, if it is. Not eligible either is one that
    could not score every document or is above `max_bits_per_byte`. `choice` is `lowest`, where a tie goes to the
    first one, or the name of a candidate.

    Raises InputError where none is eligible, with each one's reason, where the chosen one is not, and where
    the candidates were scored on different texts.
    """
    if choice != "lowest" and choice not in candidates:
        raise InputError(f"candidates.choice: {choice}, allowed are lowest, {', '.join(candidates)}")
    table, whole, reference = [], [], None
    for name, (scored, barred) in candidates.items():
        rows = of_parts(scored, parts)
        reference = reference or rows
        require_same_text(rows, reference)
        figures = estimates(rows, resamples, seed)
        reason = _objection(figures["bits_per_byte"], rows, max_bits_per_byte) or barred
        whole.append(_row(name, "+".join(parts), figures, rows, reason))
        for part in parts if len(parts) > 1 else ():
            some = of_parts(rows, [part])
            table.append(_row(name, part, estimates(some, resamples, seed), some, reason))
        table.append(whole[-1])

    eligible = [row for row in whole if row["eligible"]]
    if not eligible:
        raise InputError("candidates: none is eligible: " + "; ".join(f"{r['model']}: {r['reason']}" for r in whole))
    if choice == "lowest":
        best = min(eligible, key=lambda row: row["bits_per_byte"])
    else:
        best = next(row for row in whole if row["model"] == choice)
        if not best["eligible"]:
            raise InputError(f"candidates.choice: {choice} is not eligible: {best['reason']}")
    return table, {
        "model": best["model"],
        "bits_per_byte": best["bits_per_byte"],
        "split": SPLIT,
        "parts": list(parts),
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


def _row(name: str, part: str, figures: dict[str, Estimate], rows: Rows, reason: str | None) -> dict[str, Any]:
    bits = figures["bits_per_byte"]
    return {
        "model": name,
        "part": part,
        "bits_per_byte": bits.value,
        "low": bits.low,
        "high": bits.high,
        "token_perplexity": figures["token_perplexity"].value,
        "tokens_per_byte": figures["tokens_per_byte"].value,
        "tokens": sum(r["tokens"] for r in rows),
        "bytes": sum(r["bytes"] for r in rows),
        "n": bits.n,
        "groups": bits.groups,
        "failures": bits.failures,
        "eligible": reason is None,
        "reason": reason,
    }
