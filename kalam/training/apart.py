"""Windows of one document each, for models whose attention takes no mask of packed documents."""

import numpy as np

from kalam.text.tokens import IGNORED
from kalam.training.examples import Draw, Example, Examples
from kalam.training.packing import TokenStream


class DocumentWindows(Examples):
    """Documents one by one, cut into windows of at most `context` tokens.

    Its labels are the tokens `lookahead` after a window's own, within the document; so every token is predicted as
    often as in packed windows, from no more than its own window. A batch of them is padded, which is their cost.
    """

    def __init__(self, stream: TokenStream, context: int, lookahead: int = 1):
        self.tokens, self.columns, self.lookahead = stream.tokens, stream.columns, lookahead
        ends = np.append(stream.starts[1:], len(stream.tokens))
        pieces = np.maximum(-(-(ends - stream.starts - lookahead) // context), 0)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.begins = np.repeat(stream.starts, pieces) + number * context
        self.ends = np.repeat(ends, pieces)  # of the whole document
        self.costs = np.minimum(self.begins + context, self.ends) - self.begins

    @property
    def targets(self) -> int:
        return int(np.minimum(self.costs, self.ends - self.begins - self.lookahead).sum())

    def labels(self, index: int, draw: Draw | None = None) -> int:
        return int(min(self.costs[index], self.ends[index] - self.begins[index] - self.lookahead))

    def __getitem__(self, index: int) -> Example:
        """One window: input_ids, labels (shifted already), position_ids, document (0), each int64 [its cost]; of a
        stream with further columns also these."""
        begin, size = self.begins[index], self.costs[index]
        here = slice(begin, begin + size)
        following = self.tokens[begin + self.lookahead : min(begin + size + self.lookahead, self.ends[index])]
        labels = np.full(size, IGNORED, dtype=np.int64)
        labels[: len(following)] = following
        return {
            "input_ids": self.tokens[here].astype(np.int64),
            "labels": labels,
            "position_ids": np.arange(size),
            "document": np.zeros(size, dtype=np.int64),
            **{name: column[here].astype(np.int64) for name, column in self.columns.items()},
        }
