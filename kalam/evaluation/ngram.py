"""A character n-gram language model: the floor that any larger model has to pass."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kalam.data.selection import rows_of, texts_of
from kalam.evaluation.bits import identity, text_size
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json, write_jsonl

START = 0x110000  # stands before a document; beyond Unicode, so no text contains it
# How many characters UTF-8 writes in 1, 2, 3 and 4 bytes, and the first code point of each length after
# the first. Surrogates are no characters.
LENGTH_SIZES = np.array([0x80, 0x800 - 0x80, 0x10000 - 0x800 - 0x800, 0x110000 - 0x10000])
LENGTH_STARTS = np.array([0x80, 0x800, 0x10000])

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Level:
    """The counts of one order.

    grams: sorted keys, context * symbols + symbol, where a context is the rank of a gram one order
    below; counts: how often each was seen; totals, types: per context, how many characters followed
    it and how many different ones, with a last zero that rank -1, a context never seen, falls on.
    """

    grams: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    types: np.ndarray


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

    alphabet: np.ndarray  # sorted code points seen, START among them
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        return len(self.levels)

    @classmethod
    def fit(cls, texts: Iterable[str], order: int) -> "CharacterNgram":
        """Count the n-grams of orders 1 to `order`. Raises InputError where there is nothing to count."""
        if order < 1:
            raise InputError(f"order of the n-gram floor: {order}, allowed is 1 or more")
        texts = list(texts)
        stream, places, _ = _stream(texts, order - 1)
        if not len(places):
            raise InputError("the n-gram floor has no text to count")
        alphabet = np.unique(stream)
        symbols, levels = np.searchsorted(alphabet, stream), []
        ranks, contexts = np.zeros_like(symbols), 1
        for _ in range(order):
            grams, ranks = np.unique(_keys(_previous(ranks), symbols, alphabet), return_inverse=True)
            # Only what ends in a character of a document counts; grams that end in START are mere contexts.
            counts = np.bincount(ranks[places], minlength=len(grams))
            before = grams // _symbols(alphabet)
            totals = np.bincount(before, weights=counts, minlength=contexts + 1)
            types = np.bincount(before, weights=counts > 0, minlength=contexts + 1)
            levels.append(Level(grams, counts, totals, types))
            contexts = len(grams)
        return cls(alphabet, tuple(levels))

    def limited(self, order: int) -> "CharacterNgram":
        """The same model at a lower order."""
        return CharacterNgram(self.alphabet, self.levels[:order])

    def nll(self, text: str) -> float:
        """Negative log-likelihood of one document, in nats."""
        return float(self.nlls([text])[-1, 0])

    def nlls(self, texts: Sequence[str]) -> np.ndarray:
        """Negative log-likelihoods in nats, (order, texts): row k is the model of order k + 1."""
        stream, places, documents = _stream(texts, self.order - 1)
        found = np.searchsorted(self.alphabet, stream)
        found[found == len(self.alphabet)] = 0
        symbols = np.where(self.alphabet[found] == stream, found, len(self.alphabet))
        ranks, probability, result = np.zeros_like(symbols), _escape(stream), []
        for level in self.levels:
            contexts = _previous(ranks)
            keys = _keys(contexts, symbols, self.alphabet)
            ranks = np.minimum(np.searchsorted(level.grams, keys), len(level.grams) - 1)
            seen = level.grams[ranks] == keys
            counts, ranks = np.where(seen, level.counts[ranks], 0), np.where(seen, ranks, -1)
            totals, types = level.totals[contexts], level.types[contexts]
            with np.errstate(invalid="ignore"):  # 0 / 0 where nothing ever followed: the lower order stands
                interpolated = (counts + types * probability) / (totals + types)
            probability = np.where(totals > 0, interpolated, probability)
            result.append(np.bincount(documents, -np.log(probability[places]), minlength=len(texts)))
        return np.array(result)


def choose_order(train: Iterable[str], validation: Sequence[str], orders: Iterable[int]) -> CharacterNgram:
    """The model of that order of `orders`, counted on `train`, which codes `validation` in the fewest bits.

    Counted once, at the highest order. A tie goes to the lower order. Raises InputError for no order or no text.
    """
    orders = sorted(orders)
    if not orders or orders[0] < 1:
        raise InputError(f"orders of the n-gram floor: {orders}, allowed are one or more from 1")
    size = sum(len(text.encode("utf-8")) for text in validation)
    if not size:
        raise InputError("the order of the n-gram floor is chosen on validation text, and there is none")
    model = CharacterNgram.fit(train, orders[-1])
    bits = model.nlls(validation).sum(axis=1) / (np.log(2) * size)
    best = min(orders, key=lambda order: bits[order - 1])
    shown = ", ".join(f"{order}: {bits[order - 1]:.3f}" for order in orders)
    log.info("n-gram floor, bits per byte on validation by order: %s; order %d it is", shown, best)
    return model.limited(best)


def floor_rows(model: CharacterNgram, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Score rows of the floor, one per document; it has characters for tokens, so `tokens` is None."""
    return [
        {
            **identity(document),
            **text_size(document["text"]),
            "tokens": None,
            "nll": float(nll),
            "failure": None,
        }
        for document, nll in zip(documents, model.nlls([d["text"] for d in documents])[-1], strict=True)
    ]


def write_floors(
    rows: Mapping[str, str | Path],
    parts: Mapping[str, Sequence[str]],
    orders: Sequence[int],
    outputs: Mapping[str, str | Path],
    meta: str | Path,
) -> None:
    """Count a floor for each entry of `parts` (its name, and the parts of the training split that it reads), score
    the test split under it, and write the rows to `outputs` and the orders that were chosen to `meta`."""
    documents = list(rows_of(rows["test"]))
    chosen = {}
    for floor, some in parts.items():
        train, validation = (texts_of(rows[split], some) for split in ("train", "validation"))
        model = choose_order(train, list(validation), orders)
        chosen[floor] = model.order
        write_jsonl(outputs[floor], floor_rows(model, documents))
    write_json(meta, {"parts": parts, "orders": chosen})


def _stream(texts: Sequence[str], pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All code points with `pad` times START before each text; where the characters stand; whose they are."""
    documents = np.repeat(np.arange(len(texts)), np.array([len(text) for text in texts], dtype=np.int64))
    places = np.arange(len(documents)) + pad * (documents + 1)
    stream = np.full(len(documents) + pad * len(texts), START, dtype=np.uint32)
    stream[places] = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    return stream, places, documents


def _escape(stream: np.ndarray) -> np.ndarray:
    """The probability of order 0; START, which nobody scores, has one as well."""
    return 1 / (len(LENGTH_SIZES) * LENGTH_SIZES[np.digitize(stream, LENGTH_STARTS)])


def _symbols(alphabet: np.ndarray) -> int:
    return len(alphabet) + 1  # the last one is any character never seen


def _previous(ranks: np.ndarray) -> np.ndarray:
    # The first place of the stream has none; it is START wherever a context matters.
    return np.concatenate(([0], ranks[:-1]))


def _keys(contexts: np.ndarray, symbols: np.ndarray, alphabet: np.ndarray) -> np.ndarray:
    return contexts * _symbols(alphabet) + symbols
