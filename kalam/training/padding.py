"""Padded examples: each a text by itself, of which some tokens are to be predicted."""

import numpy as np

from kalam.files.errors import InputError
from kalam.text.tokens import IGNORED
from kalam.training.examples import Draw, Example, Examples
from kalam.training.packing import TokenStream

ANSWER = "answer"  # the column of a stream that says which tokens are to be predicted


class PaddedExamples(Examples):
    """The texts of a stream that says which of its tokens are answers: each of these is predicted from all before it.

    A text that is longer than `context` is left out, not cut, as an answer without its end teaches not to end; so is
    one without an answer. `left_out` is how many there are. Raises InputError for a stream without answers.
    """

    def __init__(self, stream: TokenStream, context: int):
        if ANSWER not in stream.columns:
            raise InputError("the tokens do not say which of them are answers")
        self.tokens, self.answer = stream.tokens, stream.columns[ANSWER]
        ends = np.append(stream.starts[1:], len(stream.tokens))
        before = np.concatenate([[0], np.cumsum(self.answer)])
        # A text's first token is predicted from nothing.
        answers = before[ends] - before[np.minimum(stream.starts + 1, ends)]
        lengths = ends - stream.starts - 1  # its last token predicts nothing
        kept = (lengths <= context) & (answers > 0)
        self.starts, self.costs, self.answers = stream.starts[kept], lengths[kept], answers[kept]
        self.left_out = int(len(kept) - kept.sum())

    @property
    def targets(self) -> int:
        return int(self.answers.sum())

    def labels(self, index: int, draw: Draw | None = None) -> int:
        return int(self.answers[index])

    def __getitem__(self, index: int) -> Example:
        """One text: input_ids, labels (shifted already), position_ids, document (0); each int64 [its cost]."""
        begin, size = self.starts[index], self.costs[index]
        following = slice(begin + 1, begin + 1 + size)
        return {
            "input_ids": self.tokens[begin : begin + size].astype(np.int64),
            "labels": np.where(self.answer[following], self.tokens[following], IGNORED).astype(np.int64),
            "position_ids": np.arange(size),
            "document": np.zeros(size, dtype=np.int64),
        }
