"""Packed windows that differ from epoch to epoch: where they begin, and how their text is cut into pieces."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random

import numpy as np

from kalam.training.examples import Draw, Example, Examples
from kalam.training.packing import PackedWindows, TokenStream

# Tokens written anew, with a share of merges left out.
Rewrite = Callable[[Sequence[int], float, Random], list[int]]


class VariedWindows(Examples):
    """Packed windows of a stream that goes round, each epoch from another token on.

    With `rewrite` the text of a window is written anew for each draw, with a share of merges left out that falls
    linearly from `dropout` at the first of `total` draws to 0 at the last. It takes more tokens so; what is beyond the
    context is cut off, and stands elsewhere in another epoch. A draw is (seed, stream of draws, position).
    """

    def __init__(self, windows: PackedWindows, total: int, dropout: float = 0.0, rewrite: Rewrite | None = None):
        self.windows, self.total, self.dropout, self.rewrite = windows, total, dropout, rewrite
        self.costs = windows.costs
        self._made = lru_cache(maxsize=256)(self._make)  # a step's labels are counted before its examples are taken

    @property
    def targets(self) -> int:
        return self.windows.targets

    def __getitem__(self, index: int) -> Example:
        return self.windows[index]

    def labels(self, index: int, draw: Draw | None = None) -> int:
        return self.windows.labels(index) if draw is None else self._made(index, draw)[1]

    def drawn(self, index: int, draw: Draw) -> Example:
        return self._made(index, draw)[0]

    def _make(self, index: int, draw: Draw) -> tuple[Example, int]:
        seed, *_, position = draw
        documents = self.documents(index, seed, position // len(self))
        share = self.dropout * max(0.0, 1 - position / self.total)
        if self.rewrite and share:
            random = Random(int(np.random.SeedSequence(draw).generate_state(1, np.uint64)[0]))
            documents = [self.rewrite(document, share, random) for document in documents]
        given = self.windows
        window = PackedWindows(TokenStream.of(documents), given.context, given.pad, given.lookahead)
        return window[0], window.labels(0)

    def documents(self, index: int, seed: int, epoch: int) -> list[list[int]]:
        """The tokens of a window in an epoch, by document, and as many more as its labels look ahead."""
        given, size = self.windows, len(self.windows.tokens)
        shift = int(np.random.default_rng([seed, epoch]).integers(given.context)) if epoch else 0
        length = min(given.context + given.lookahead, size)
        places = (index * given.context + shift + np.arange(length)) % size
        numbers = np.searchsorted(given.starts, places, side="right")
        parts = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(places) != 1)) + 1
        return [part.tolist() for part in np.split(np.asarray(given.tokens[places]), parts)]
