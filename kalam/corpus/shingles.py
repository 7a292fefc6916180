"""Hashed character shingles of many texts at once, on what punctuation, spaces and case leave."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import regex

from kalam.text.batches import batches
from kalam.text.languages import Ranges

LENGTH = 10
BATCH = 1 << 20
CODE_POINTS = 0x110000
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def exact_keys(texts: Iterable[str]) -> list[bytes]:
    """A digest of each text's letters, marks and digits in lower case; of the text where it has none."""
    keys = []
    for batch in batches(texts, BATCH):
        codes, lengths = _fold(batch, _folded())
        parts = np.split(codes, np.cumsum(lengths)[:-1])
        keys += [
            blake2b(part.tobytes() if part.size else b"\0" + text.encode(), digest_size=16).digest()
            for part, text in zip(parts, batch, strict=True)
        ]
    return keys


def shingle_batches(texts: Iterable[str], optional_marks: Ranges = ()) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shingle hashes (uint64, flat) and row offsets (int64, one more than texts), batch after batch.

    A shingle is `LENGTH` letters and marks in a row, passing over `optional_marks`. A shorter text is
    one shingle, one without letters has none. Equal shingles of a text are not merged.
    """
    for batch in batches(texts, BATCH):
        codes, lengths = _fold(batch, _shingled(optional_marks))
        # no code is 0, so a short text filled up with zeros stays itself
        filled = np.where(lengths > 0, np.maximum(lengths, LENGTH), 0)
        buffer = np.zeros(filled.sum(), np.uint64)
        buffer[_within(filled, lengths)] = codes
        counts = np.maximum(filled - LENGTH + 1, 0)
        yield _hashes(buffer)[_within(filled, counts)], np.concatenate(([0], np.cumsum(counts)))


def shingle_sets(texts: Sequence[str], optional_marks: Ranges = ()) -> list[np.ndarray]:
    """The sorted, distinct shingle hashes of each text."""
    batches = shingle_batches(texts, optional_marks)
    return [np.unique(flat[start:end]) for flat, offsets in batches for start, end in pairwise(offsets)]


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """|a & b| / |a | b| of two sorted arrays of distinct hashes, 0 where one is empty."""
    if not (a.size and b.size):
        return 0.0
    both = np.concatenate((a, b))
    both.sort(kind="stable")
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (both.size - shared)


def containment(a: np.ndarray, b: np.ndarray) -> float:
    """|a & b| / |a| of two sorted arrays of distinct hashes, 0 where one is empty."""
    if not (a.size and b.size):
        return 0.0
    places = np.minimum(np.searchsorted(b, a), b.size - 1)
    return int(np.count_nonzero(b[places] == a)) / a.size


def _fold(texts: Sequence[str], table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The folded code points of all texts in a row, and how many belong to each text."""
    codes = table[np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)]
    kept = codes > 0
    ends = np.concatenate(([0], np.cumsum(kept)))[np.cumsum([len(text) for text in texts])]
    return codes[kept], np.diff(ends, prepend=0)


def _within(widths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Positions of the first `counts` places of rows that are `widths` wide and lie end to end."""
    starts = np.cumsum(widths) - widths
    return np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)


def _hashes(codes: np.ndarray) -> np.ndarray:
    """A 64-bit hash of the `LENGTH` codes from each place on: a polynomial, then splitmix64's finish.

    Steele, Lea, Flood (2014), https://doi.org/10.1145/2660193.2660195
    """
    count = max(codes.size - LENGTH + 1, 0)
    hashes = np.zeros(count, np.uint64)
    for offset in range(LENGTH):
        hashes *= MULTIPLIER
        hashes += codes[offset : offset + count]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    return hashes ^ (hashes >> np.uint64(31))


@cache
def _folded() -> np.ndarray:
    """What each code point counts as in exact keys, 0 for nothing."""
    every = "".join(map(chr, range(CODE_POINTS)))
    table = np.zeros(CODE_POINTS, np.uint32)
    for run in regex.finditer(r"[\p{L}\p{M}\p{N}]+", every):
        table[run.start() : run.end()] = np.arange(run.start(), run.end())
    for capital in regex.findall(r"\p{Lu}", every):
        table[ord(capital)] = ord(capital.lower()[0])
    return table


@cache
def _shingled(optional_marks: Ranges) -> np.ndarray:
    """What each code point counts as in shingles, 0 for nothing.

    They pass over digits (numbers of verses, pages and notes differ between editions) and over
    marks that a text of the language may lack.
    """
    table = _folded().copy()
    for run in regex.finditer(r"\p{N}+", "".join(map(chr, range(CODE_POINTS)))):
        table[run.start() : run.end()] = 0
    for first, last in optional_marks:
        table[first : last + 1] = 0
    return table
