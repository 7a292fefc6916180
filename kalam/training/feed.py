"""Examples on their way to the loop: shuffled, cut into micro-batches, shared by processes, made ahead."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kalam.text.tokens import IGNORED
from kalam.training.examples import Draw, Examples
from kalam.training.processes import Processes
from kalam.training.task import Batch, Task


@dataclass(frozen=True)
class Part:
    """A micro-batch of one process: its examples, what each draws from, and which only stand in for one that lacks."""

    examples: tuple[int, ...]
    draws: tuple[Draw, ...]
    idle: tuple[bool, ...]


def cut(
    indices: Sequence[int], draws: Sequence[Draw], costs: Sequence[int], tokens: int, processes: Processes
) -> list[Part]:
    """This process's share of some examples, in micro-batches of at most so many tokens with their padding.

    The costliest come first, so little is padded. An example that is too large for `tokens` is a micro-batch
    by itself. All processes have equally many parts, of equally many examples.
    """
    order = sorted(range(len(indices)), key=lambda place: -costs[indices[place]])
    rows = [order[begin : begin + processes.count] for begin in range(0, len(order), processes.count)]
    found: list[list[list[int]]] = []
    room = 0
    for row in rows:
        if not found or len(found[-1]) == room:
            found.append([])
            room = max(1, int(tokens // costs[indices[row[0]]]))
        found[-1].append(row)
    parts = []
    for some in found:
        here = [row[min(processes.index, len(row) - 1)] for row in some]
        parts.append(
            Part(
                tuple(indices[place] for place in here),
                tuple(draws[place] for place in here),
                tuple(processes.index >= len(row) for row in some),
            )
        )
    return parts


class Feed:
    """Examples as the loop takes them: a micro-batch at a time, the next one made in a thread meanwhile."""

    def __init__(self, task: Task, examples: Examples, processes: Processes):
        self.task, self.examples, self.processes = task, examples, processes
        self._thread = ThreadPoolExecutor(1)
        self._ahead: tuple[Part, Future] | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def parts(self, indices: Sequence[int], draws: Sequence[Draw], tokens: int) -> list[Part]:
        """Some examples as `cut` says."""
        return cut(indices, draws, self.examples.costs, tokens, self.processes)

    def labels(self, indices: Sequence[int], draws: Sequence[Draw]) -> int:
        """How many labels some examples have."""
        return sum(self.task.labels(self.examples, i, draw) for i, draw in zip(indices, draws, strict=True))

    def batches(self, parts: Sequence[Part], after: Part | None = None) -> Iterator[Batch]:
        """Each part as a batch; `after` is the part that will be asked for next."""
        for part, following in zip(parts, [*parts[1:], after], strict=True):
            batch = self._take(part)
            self._ahead = following and (following, self._thread.submit(self._make, following))
            yield batch

    def _take(self, part: Part) -> Batch:
        ahead, self._ahead = self._ahead, None
        return ahead[1].result() if ahead and ahead[0] == part else self._make(part)

    def _make(self, part: Part) -> Batch:
        pairs = zip(part.examples, part.draws, strict=True)
        batch = self.task.collate([self.examples.drawn(*pair) for pair in pairs], part.draws)
        batch["labels"][list(part.idle)] = IGNORED
        return batch


def shuffled(positions: Sequence[int], count: int, seed: int) -> list[int]:
    """The examples at some positions of all that is read: epoch after epoch of seeded permutations of `count`."""
    return [int(_order(p // count, count, seed)[p % count]) for p in positions]


@lru_cache(maxsize=4)
def _order(epoch: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)
