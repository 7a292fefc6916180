"""What a training learns from: examples of which labels and cost are known before they are made."""

from abc import ABC, abstractmethod

import numpy as np

Example = dict[str, np.ndarray]
# What an example may draw random numbers from: the same for the same draw, however batches are cut.
Draw = tuple[int, ...]


class Examples(ABC):
    """So many examples, each made when it is asked for.

    costs: int [examples], the tokens that each takes in a batch, those of an image included.
    left_out: how many were given that are none, as they do not fit.
    """

    costs: np.ndarray
    left_out = 0

    def __len__(self) -> int:
        return len(self.costs)

    @property
    @abstractmethod
    def targets(self) -> int:
        """How many labels they have in all."""

    @abstractmethod
    def __getitem__(self, index: int) -> Example:
        """One example, arrays by name."""

    @abstractmethod
    def labels(self, index: int, draw: Draw | None = None) -> int:
        """How many labels an example has under a draw, or could have where the task draws them."""

    def drawn(self, index: int, draw: Draw) -> Example:
        """An example under a draw: the same under all, where nothing else is said."""
        return self[index]
