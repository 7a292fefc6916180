"""Texts that lie inside others: candidates, found without comparing all pairs.

Of two texts of unequal length MinHash sees only how alike they are as wholes, which a poem and the book that it stands
in are not. So the smallest shingle hashes of each text, a random sample of it, are looked up in all the others (a
containment MinHash with exact look-up: Koslicki and Zabeti, Applied Mathematics and Computation 354, 2019).
"""

from collections.abc import Iterable, Iterator

import numpy as np

# Of 32 shingles of a text of which 0.7 lie in another one, at least 12 are found there in 99.99 % of cases.
PROBES = 32
DEVIATIONS = 4
# A hash that more texts have among their smallest is looked up for the first of these only: it is boilerplate, and
# texts of one length that are made of such are found by MinHash.
CROWD = 64
FILTER = 1 << 24

Batch = tuple[np.ndarray, np.ndarray]


def smallest(hashes: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    """The smallest distinct hashes of each row of a batch of shingles, at most PROBES, in ascending order."""
    lengths = np.diff(offsets)
    limits = np.full(len(lengths), np.iinfo(np.uint64).max)
    large = lengths > 4 * PROBES
    # Below it twice as many are expected, and no more have to be sorted.
    limits[large] = (2 * PROBES / lengths[large] * 2.0**64).astype(np.uint64)
    few = hashes <= np.repeat(limits, lengths)
    rows, values = np.repeat(np.arange(len(lengths)), lengths)[few], hashes[few]
    order = np.lexsort((values, rows))
    rows, values = rows[order], values[order]
    new = np.concatenate(([True], (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])))[: len(rows)]
    rows, values = rows[new], values[new]
    found = [sample[:PROBES] for sample in np.split(values, np.searchsorted(rows, np.arange(1, len(lengths))))]
    for row in np.flatnonzero(large):
        if len(found[row]) < PROBES:  # by chance, or because it repeats itself
            found[row] = np.unique(hashes[offsets[row] : offsets[row + 1]])[:PROBES]
    return found


class Probes:
    """The smallest hashes of texts, by which those are found that may hold a share of a text's shingles."""

    def __init__(self, samples: list[np.ndarray], share: float):
        """`samples` are what `smallest` gives of each text."""
        hashes = np.concatenate([np.zeros(0, np.uint64), *samples])
        owners = np.repeat(np.arange(len(samples), dtype=np.int32), [len(sample) for sample in samples])
        order = np.argsort(hashes, kind="stable")  # the owners of a hash stay in their order
        hashes, owners = hashes[order], owners[order]
        begins = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1]))[: len(hashes)])
        rank = np.arange(len(hashes)) - np.repeat(begins, np.diff(begins, append=len(hashes)))
        hashes, self._owners = hashes[rank < CROWD], owners[rank < CROWD]
        self._hashes, self._begins = np.unique(hashes, return_index=True)
        self._counts = np.diff(self._begins, append=len(hashes))
        self._texts = len(samples)
        probes = np.bincount(self._owners, minlength=self._texts)
        expected = share * probes - DEVIATIONS * np.sqrt(share * (1 - share) * probes)
        self._least = np.maximum(np.ceil(expected), 1)
        self._there = np.zeros(FILTER, bool)
        self._there[self._slots(self._hashes)] = True

    def pairs(self, batches: Iterable[Batch]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each batch of the shingles of all texts, in their order: texts, and those that may lie in them."""
        first = 0
        for hashes, offsets in batches:
            places, probes = self._found(hashes)
            rows = np.searchsorted(offsets, places, side="right") - 1 + first
            first += len(offsets) - 1
            # a shingle counts once, however often a text repeats it
            rows, probes = np.divmod(np.unique(rows * len(self._hashes) + probes), max(len(self._hashes), 1))
            widths = self._counts[probes]
            ends = np.cumsum(widths)
            places = np.arange(widths.sum()) + np.repeat(self._begins[probes] - (ends - widths), widths)
            held, counts = np.unique(np.repeat(rows, widths) * self._texts + self._owners[places], return_counts=True)
            containers, contained = np.divmod(held, max(self._texts, 1))
            likely = (containers != contained) & (counts >= self._least[contained])
            yield containers[likely], contained[likely]

    def _found(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where hashes stand that are looked for, and which they are."""
        places = np.flatnonzero(self._there[self._slots(hashes)])
        probes = np.searchsorted(self._hashes, hashes[places])
        inside = probes < len(self._hashes)
        places, probes = places[inside], probes[inside]
        same = self._hashes[probes] == hashes[places]
        return places[same], probes[same]

    @staticmethod
    def _slots(hashes: np.ndarray) -> np.ndarray:
        # the last bits, as the first ones of the smallest hashes are all alike
        return (hashes & np.uint64(FILTER - 1)).astype(np.int64)
