"""A character n-gram language model: the floor that any larger model has to pass."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kalam.data.selection import parts_in, rows_of, texts_of
from kalam.evaluation.bits import identity, text_size
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json, write_jsonl
from kalam.text.batches import batches

START = 0x110000  # stands before a document; beyond Unicode, so no text contains it
# How many characters UTF-8 writes in 1, 2, 3 and 4 bytes, and the first code point of each length after
# the first. Surrogates are no characters.
LENGTH_SIZES = np.array([0x80, 0x800 - 0x80, 0x10000 - 0x800 - 0x800, 0x110000 - 0x10000])
LENGTH_STARTS = np.array([0x80, 0x800, 0x10000])
SYMBOLS = START + 1
LAST = np.iinfo(np.int64).max  # stands behind the grams of an order, so that there is one wherever one is sought
BATCH = 1 << 19  # characters that are counted or scored at once; it bounds memory and changes no figure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Level:
    """The counts of one order.

    grams: sorted keys, context * SYMBOLS + code point, where a context is the number of a gram one order below;
    numbers: that of each gram, as they were first seen; counts: how often each was seen; totals, types: per context,
    how many characters followed it and how many different ones, with a last zero that number -1, a context never
    seen, falls on.
    """

    grams: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    types: np.ndarray


class Counting:
    """The counts of one order while texts are gone through."""

    def __init__(self) -> None:
        self.grams, self.numbers, self.counts = np.array([LAST]), np.array([-1]), np.array([0])

    def __len__(self) -> int:
        return len(self.grams) - 1

    def add(self, keys: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The number of the gram at each key. Only those at `places` count, the others are mere contexts."""
        found, inverse = np.unique(keys, return_inverse=True)
        at = np.searchsorted(self.grams, found)
        if (new := self.grams[at] != found).any():
            numbers = np.arange(len(self), len(self) + np.count_nonzero(new))
            self.grams = np.insert(self.grams, at[new], found[new])
            self.numbers = np.insert(self.numbers, at[new], numbers)
            self.counts = np.insert(self.counts, at[new], 0)
            at = np.searchsorted(self.grams, found)
        self.counts[at] += np.bincount(inverse[places], minlength=len(found))
        return self.numbers[at][inverse]

    def level(self, contexts: int) -> Level:
        """What was counted; there are so many grams one order below."""
        before, counts = self.grams[:-1] // SYMBOLS, self.counts[:-1]
        totals = np.bincount(before, weights=counts, minlength=contexts + 1)
        types = np.bincount(before, weights=counts > 0, minlength=contexts + 1)
        return Level(self.grams, self.numbers, self.counts, totals, types)


@dataclass(frozen=True)
class CharacterNgram:
    """Interpolated Witten-Bell smoothing over characters (code points).

    p(c | h) = (n(hc) + T(h) p(c | h')) / (n(h) + T(h)), where h' is h without its first character,
    n counts and T(h) is the number of different characters seen after h (Bell, Cleary and Witten,
    Text Compression, 1990; in this recursive form Chen and Goodman, An Empirical Study of Smoothing
    Techniques for Language Modeling, 1998). Below order 1 stands a distribution over all of Unicode:
    each length in UTF-8 is equally likely, then each character of that length. So all characters
    sum to one, and one never seen has a finite cost.

    Order n looks back on n - 1 characters, at most 4 (n - 1) bytes: it never sees more than a model
    with an evaluation context of that many bytes, mostly far less. Every document begins in the
    context of its own beginning, each of its characters is scored once, its end is not.
    """

    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        return len(self.levels)

    @classmethod
    def fit(cls, texts: Iterable[str], order: int) -> "CharacterNgram":
        """Count the n-grams of orders 1 to `order`, text by text. What is held grows with the different n-grams.

        Raises InputError where there is nothing to count.
        """
        if order < 1:
            raise InputError(f"order of the n-gram floor: {order}, allowed is 1 or more")
        counted = [Counting() for _ in range(order)]
        for codes, places, _ in _streams(texts, order - 1):
            numbers = np.zeros(len(codes), dtype=np.int64)
            for counting in counted:
                numbers = counting.add(_previous(numbers) * SYMBOLS + codes, places)
        if not len(counted[0]):
            raise InputError("the n-gram floor has no text to count")
        below = [1, *map(len, counted)]
        return cls(tuple(counted.pop(0).level(contexts) for contexts in below[:-1]))

    def limited(self, order: int) -> "CharacterNgram":
        """The same model at a lower order."""
        return CharacterNgram(self.levels[:order])

    def nll(self, text: str) -> float:
        """Negative log-likelihood of one document, in nats."""
        return float(self.nlls([text])[-1, 0])

    def nlls(self, texts: Iterable[str]) -> np.ndarray:
        """Negative log-likelihoods in nats, (order, texts): row k is the model of order k + 1."""
        found = [self._nlls(some) for some in batches(texts, BATCH)]
        return np.concatenate(found, axis=1) if found else np.zeros((self.order, 0))

    def _nlls(self, texts: Sequence[str]) -> np.ndarray:
        result = np.zeros((self.order, len(texts)))
        for codes, places, documents in _streams(texts, self.order - 1):
            numbers, probability = np.zeros(len(codes), dtype=np.int64), _escape(codes)
            for level, sums in zip(self.levels, result, strict=True):
                contexts = _previous(numbers)
                keys = contexts * SYMBOLS + codes
                at = np.searchsorted(level.grams, keys)
                seen = level.grams[at] == keys
                counts, numbers = np.where(seen, level.counts[at], 0), np.where(seen, level.numbers[at], -1)
                totals, types = level.totals[contexts], level.types[contexts]
                with np.errstate(invalid="ignore"):  # 0 / 0 where nothing ever followed: the lower order stands
                    interpolated = (counts + types * probability) / (totals + types)
                probability = np.where(totals > 0, interpolated, probability)
                np.add.at(sums, documents, -np.log(probability[places]))
        return result


def choose_orders(
    train: Iterable[str], validation: Mapping[str, Iterable[str]], parts: Iterable[str], orders: Iterable[int]
) -> dict[str, CharacterNgram]:
    """For each part the model of that order of `orders`, counted on `train`, which codes the part's own validation
    text in the fewest bits: the order that is best on one register is too high or too low for another.

    `validation` holds texts by part, gone through twice; a part that has none there takes the order that is best on all
    of them. Counted once, at the highest order. A tie goes to the lower order. Raises InputError for no order or no
    text.
    """
    orders = sorted(orders)
    if not orders or orders[0] < 1:
        raise InputError(f"orders of the n-gram floor: {orders}, allowed are one or more from 1")
    if not any(map(any, validation.values())):
        raise InputError("the order of the n-gram floor is chosen on validation text, and there is none")
    model = CharacterNgram.fit(train, orders[-1])
    nats = {part: model.nlls(texts).sum(axis=1) for part, texts in validation.items() if any(texts)}
    result = {}
    for part in parts:
        costs = nats[part] if part in nats else np.sum(list(nats.values()), axis=0)
        best = min(orders, key=lambda order: costs[order - 1])
        result[part] = model.limited(best)
        shown = ", ".join(f"{order}: {costs[order - 1] / np.log(2):,.0f}" for order in orders)
        log.info("n-gram floor, bits of validation of %s by order: %s; order %d it is", part, shown, best)
    return result


def floor_rows(model: CharacterNgram, documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Score rows of the floor, one per document; it has characters for tokens, so `tokens` is None.

    As the documents come: a batch of them is held.
    """
    for some in batches(documents, BATCH, lambda document: len(document["text"])):
        for document, nll in zip(some, model.nlls([each["text"] for each in some])[-1], strict=True):
            size = text_size(document["text"])
            yield {**identity(document), **size, "tokens": None, "nll": float(nll), "failure": None}


def rows_by_part(models: Mapping[str, CharacterNgram], documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The score rows of documents as these come, each under the model of its part."""
    for some in batches(documents, BATCH, lambda document: len(document["text"])):
        rows: dict[str, dict[str, Any]] = {}
        for part, model in models.items():
            of_part = floor_rows(model, [document for document in some if document["register"] == part])
            rows |= {row["id"]: row for row in of_part}
        yield from (rows[document["id"]] for document in some)


def write_floors(
    rows: Mapping[str, str | Path],
    parts: Mapping[str, Sequence[str]],
    orders: Sequence[int],
    outputs: Mapping[str, str | Path],
    meta: str | Path,
) -> None:
    """Count a floor for each entry of `parts` (its name, and the parts of the training split that it reads), score
    the test split under it, each part at the order that is best on it, and write the rows to `outputs` and the orders
    that were chosen to `meta`."""
    known, tested = (parts_in(rows_of(rows[split])) for split in ("validation", "test"))
    validation = {part: texts_of(rows["validation"], [part]) for part in known}
    chosen = {}
    for floor, some in parts.items():
        models = choose_orders(texts_of(rows["train"], some), validation, tested, orders)
        chosen[floor] = {part: model.order for part, model in models.items()}
        write_jsonl(outputs[floor], rows_by_part(models, rows_of(rows["test"])))
    write_json(meta, {"parts": parts, "orders": chosen})


def _pieces(texts: Iterable[str], pad: int) -> Iterator[tuple[int, str, str]]:
    """Pieces of a batch's size at most, each with the number of its text and the `pad` characters before it there."""
    for number, text in enumerate(texts):
        for begin in range(0, len(text), BATCH):
            yield number, text[max(0, begin - pad) : begin], text[begin : begin + BATCH]


def _streams(texts: Iterable[str], pad: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Batch by batch the code points, with `pad` before each piece of a text: those before it, or START where there
    are none; where the piece's own characters stand; whose they are."""
    for some in batches(_pieces(texts, pad), BATCH, lambda piece: len(piece[2])):
        numbers, before, pieces = zip(*some, strict=True)
        own, given = (np.array([len(text) for text in column]) for column in (pieces, before))
        given += own
        ends = np.cumsum(own + pad)
        codes = np.full(ends[-1], START, dtype=np.int64)
        text = "".join(part for pair in zip(before, pieces, strict=True) for part in pair)
        codes[_ending_at(ends, given)] = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        yield codes, _ending_at(ends, own), np.repeat(numbers, own)


def _ending_at(ends: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The last `counts` places before each end."""
    return np.arange(counts.sum()) + np.repeat(ends - np.cumsum(counts), counts)


def _escape(stream: np.ndarray) -> np.ndarray:
    """The probability of order 0; START, which nobody scores, has one as well."""
    return 1 / (len(LENGTH_SIZES) * LENGTH_SIZES[np.digitize(stream, LENGTH_STARTS)])


def _previous(numbers: np.ndarray) -> np.ndarray:
    # The first place of a batch has none; it is START, or before the piece, wherever a context matters.
    return np.concatenate(([0], numbers[:-1]))
