"""Bits per byte and its relatives, with intervals: arithmetic on score rows."""

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kalam.files.errors import InputError
from kalam.files.stored_rows import Picked

# Score rows, one for each document under one model: id, group, part, bytes, characters, words, tokens (None
# for a floor), nll (nats, summed over the document; None where the model could not score it). Where what is asked
# of a model is drawn, there is one for each draw, with its number as `draw`.
Rows = Sequence[dict[str, Any]]

LEVEL = 0.95
CELLS = 4_000_000  # numbers drawn at once; it bounds memory and changes no figure


def _bits(nats: float) -> float:
    return nats / math.log(2)


# Each measure is a ratio of sums over documents, and the rising function that makes the figure of it.
MEASURES: dict[str, tuple[str, str, Callable]] = {
    "bits_per_byte": ("nll", "bytes", _bits),
    "bits_per_character": ("nll", "characters", _bits),
    "word_perplexity": ("nll", "words", np.exp),
    "token_perplexity": ("nll", "tokens", np.exp),
    "tokens_per_byte": ("tokens", "bytes", float),
}
# Of hidden tokens under a masked model; `correct` counts those that were its best guess.
MASKED_MEASURES: dict[str, tuple[str, str, Callable]] = {
    "masked_nll": ("nll", "tokens", float),
    "masked_accuracy": ("correct", "tokens", float),
}
# Of answers that a model is to give.
ANSWER_MEASURES: dict[str, tuple[str, str, Callable]] = {
    "bits_per_byte": MEASURES["bits_per_byte"],
    "token_perplexity": MEASURES["token_perplexity"],
    "answer_accuracy": ("correct", "tokens", float),
}
MAY_BE_ZERO = ("nll", "correct")


@dataclass(frozen=True)
class Estimate:
    """A figure over n documents in so many groups with its 95 % interval; failures: documents not scored.

    A document not scored counts as one of infinite cost: the value is inf (None for a difference,
    where inf - inf has no value) and there is no interval. Nor is there one for a single group.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    failures: int
    groups: int


def identity(document: dict[str, Any]) -> dict[str, str]:
    """What a score row keeps of its document: which it is, what it must not be parted from, where tables put it."""
    return {"id": document["id"], "group": document["group"], "part": document["register"]}


def text_size(text: str) -> dict[str, int]:
    """UTF-8 bytes, code points, and words between white space of a scored text."""
    return {"bytes": len(text.encode("utf-8")), "characters": len(text), "words": len(text.split())}


def text_digest(documents: Sequence[dict[str, Any]]) -> str:
    """SHA-256, in hexadecimal, over the scored texts in order of id, a zero byte after each.

    The documents may stay in a file: their ids are held, but not their texts. Raises InputError for a text that is not
    NFC: its bytes would not be those of the same text elsewhere.
    """
    total = hashlib.sha256()
    for _, place in sorted((document["id"], place) for place, document in enumerate(documents)):
        document = documents[place]
        if not unicodedata.is_normalized("NFC", document["text"]):
            raise InputError(f"document {document['id']}: its text is not NFC, as every scored text has to be")
        total.update(document["text"].encode("utf-8") + b"\0")
    return total.hexdigest()


def text_digests(documents: Sequence[dict[str, Any]], column: str = "register") -> dict[str, str]:
    """The `text_digest` of each part, in the order that the parts come in; `column` says which one a document is of."""
    parts: dict[str, list[int]] = {}
    for place, document in enumerate(documents):
        parts.setdefault(document[column], []).append(place)
    return {part: text_digest(Picked(documents, places)) for part, places in parts.items()}


def measure(rows: Rows, name: str) -> float:
    """One of the measures; inf where the nll is needed and a document was not scored. Raises InputError."""
    above, below, finish = family(name)[name]
    sums = [math.fsum(column) for column in _columns(_ordered(rows), above, below).T]
    return _finished(finish, sums[0] / sums[1])


def documents(rows: Rows) -> int:
    """How many documents some rows are about."""
    return len({row["id"] for row in rows})


def groups(rows: Rows) -> int:
    """How many groups the documents of some rows are of."""
    return len({row["group"] for row in rows})


def failures(*scorings: Rows) -> int:
    """How many documents at least one of the scorings has no finite nll for."""
    return len({row["id"] for rows in scorings for row in rows if not _scored(row)})


def family(name: str) -> dict[str, tuple[str, str, Callable]]:
    """The measures that one of them stands among. Raises InputError for one that is none."""
    for measures in (MEASURES, MASKED_MEASURES, ANSWER_MEASURES):
        if name in measures:
            return measures
    raise InputError(f"measure: found {name}; allowed are {', '.join(MEASURES | MASKED_MEASURES | ANSWER_MEASURES)}")


def estimates(
    rows: Rows, resamples: int, seed: int, measures: dict[str, tuple[str, str, Callable]] = MEASURES
) -> dict[str, Estimate]:
    """Every measure that applies (a floor has none of tokens), with its percentile bootstrap interval.

    Groups are drawn, not documents or tokens, since what is of one work hangs together (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993); and the draws of the rows, where there are several, as the figure is their
    mean. Raises InputError for rows without text.
    """
    wanted = dict.fromkeys(key for above, below, _ in measures.values() for key in (above, below))
    keys = [key for key in wanted if any(row[key] is not None for row in rows) or key == "nll"]
    sums, failed = _sums(rows, *keys), failures(rows)
    drawn = None if failed or groups(rows) < 2 else _resampled(sums, resamples, seed)
    result = {}
    for name, (above, below, finish) in measures.items():
        if above in keys and below in keys:
            ends = (None, None)
            if drawn is not None:
                ends = _interval(drawn[:, keys.index(above)] / drawn[:, keys.index(below)], finish)
            result[name] = Estimate(measure(rows, name), *ends, documents(rows), failed, groups(rows))
    return result


def paired_difference(rows: Rows, baseline: Rows, resamples: int, seed: int, name: str = "bits_per_byte") -> Estimate:
    """The measure of `rows` minus that of `baseline` on the same documents, their groups drawn together.

    The measure is one that sums of both can be subtracted in: bits per byte, or one of MASKED_MEASURES. Draws are
    paired by their numbers; a baseline that does not depend on them has none.

    Raises InputError where the two were not scored on the same ids and bytes, or in other draws.
    """
    require_same_text(rows, baseline)
    size = documents(rows), groups(rows)
    if failed := failures(rows, baseline):
        return Estimate(None, None, None, size[0], failed, size[1])
    above, below, finish = family(name)[name]
    group = {row["id"]: row["group"] for row in rows}
    sums, others = (
        _sums([{**row, "group": group[row["id"]]} for row in some], above, below) for some in (rows, baseline)
    )
    if len(others) not in (1, len(sums)):
        raise InputError(f"scores do not compare: {len(sums)} draws in one, {len(others)} in the other")
    sums[:, :, 0] -= others[:, :, 0]
    value = measure(rows, name) - measure(baseline, name)
    if size[1] < 2:
        return Estimate(value, None, None, size[0], 0, size[1])
    drawn = _resampled(sums, resamples, seed)
    return Estimate(value, *_interval(drawn[:, 0] / drawn[:, 1], finish), size[0], 0, size[1])


def require_same_text(rows: Rows, others: Rows) -> None:
    """Raise InputError unless both have the same documents, each with the same bytes."""
    mine, theirs = ({row["id"]: row["bytes"] for row in some} for some in (rows, others))
    if mine.keys() != theirs.keys():
        odd = sorted(mine.keys() ^ theirs.keys())
        raise InputError(f"scores do not compare: {len(odd)} documents have only one of them, the first is {odd[0]}")
    for name, size in mine.items():
        if size != theirs[name]:
            raise InputError(
                f"scores do not compare: document {name} has {size} bytes in one, {theirs[name]} in the other"
            )


def of_parts(rows: Iterable[dict[str, Any]], parts: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of some parts. Raises InputError where a part has none."""
    kept = [row for row in rows if row["part"] in parts]
    for part in parts:
        if not any(row["part"] == part for row in kept):
            raise InputError(f"no scored document of part {part}")
    return kept


def _scored(row: dict[str, Any]) -> bool:
    return row["nll"] is not None and math.isfinite(row["nll"])


def _ordered(rows: Rows) -> Rows:
    """In order of draw and id, so that the order of the file does not count."""
    ordered = sorted(rows, key=_place)
    if not ordered:
        raise InputError("no score rows: the text under evaluation is empty")
    for row, following in pairwise(ordered):
        if _place(row) == _place(following):
            raise InputError(f"document {row['id']} is scored twice")
    return ordered


def _place(row: dict[str, Any]) -> tuple[int, str]:
    return row.get("draw", 0), row["id"]


def _columns(ordered: Rows, *keys: str) -> np.ndarray:
    """(rows, keys); an nll that is none counts as infinite."""
    for row in ordered:
        for key in keys:
            if key not in MAY_BE_ZERO and not (row[key] and row[key] > 0):
                raise InputError(f"document {row['id']}: {key} is {row[key]}, a scored text has 1 or more")
    values = [[row[key] if key != "nll" or _scored(row) else math.inf for key in keys] for row in ordered]
    return np.array(values, dtype=float)


def _sums(rows: Rows, *keys: str) -> np.ndarray:
    """(draws, groups, keys): what is drawn, sums over the documents of each group in each draw."""
    ordered = _ordered(rows)
    draws, which = np.unique([row.get("draw", 0) for row in ordered], return_inverse=True)
    names, places = np.unique([row["group"] for row in ordered], return_inverse=True)
    sums = np.zeros((len(draws), len(names), len(keys)))
    np.add.at(sums, (which, places), _columns(ordered, *keys))
    return sums


def _resampled(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The sums over draws and groups that are drawn with replacement, (resamples, keys)."""
    draws, n, _ = sums.shape
    generator = np.random.default_rng(seed)
    weights = np.ones((resamples, 1))
    if draws > 1:
        weights = generator.multinomial(draws, np.full(draws, 1 / draws), size=resamples)
    size = max(1, CELLS // n)
    parts = []
    for begin in range(0, resamples, size):
        counts = generator.multinomial(n, np.full(n, 1 / n), size=min(size, resamples - begin)).astype(float)
        parts.append(sum(weights[begin : begin + size, [d]] * (counts @ sums[d]) for d in range(draws)))
    return np.concatenate(parts)


def _interval(ratios: np.ndarray, finish: Callable) -> tuple[float, float]:
    # Every `finish` rises, so it may come last; a perplexity beyond 1e308 would spoil the interpolation.
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _finished(finish, low), _finished(finish, high)


def _finished(finish: Callable, ratio: float) -> float:
    with np.errstate(over="ignore"):
        return float(finish(ratio))
