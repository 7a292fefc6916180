"""Packed windows: documents side by side that never attend to one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kalam.text.tokens import IGNORED


@dataclass(frozen=True)
class TokenStream:
    """Documents end to end.

    tokens: int32 [n], starts: int64 [documents], the index of each document's first token;
    word_starts: bool [n], which tokens begin a word, for tasks that ask.
    """

    tokens: np.ndarray
    starts: np.ndarray
    word_starts: np.ndarray | None = None

    @classmethod
    def of(
        cls, documents: Sequence[Sequence[int]], word_starts: Sequence[Sequence[bool]] | None = None
    ) -> "TokenStream":
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        tokens = np.fromiter((token for document in documents for token in document), dtype=np.int32)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        words = None if word_starts is None else np.fromiter((w for some in word_starts for w in some), dtype=bool)
        return cls(tokens, starts, words)

    def save(self, path: str | Path) -> None:
        """Write the arrays to one safetensors file, atomically."""
        from safetensors.numpy import save

        from kalam.files.atomic import atomic_write

        with atomic_write(path, "wb") as handle:
            handle.write(save({name: array for name, array in vars(self).items() if array is not None}))

    @classmethod
    def load(cls, path: str | Path) -> "TokenStream":
        from safetensors.numpy import load_file

        return cls(**load_file(path))


class PackedWindows:
    """Windows of `context` tokens over a stream; every token is in one, none but the last window is padded.

    Window i reads tokens [i * context, (i + 1) * context); its labels are the tokens `lookahead`
    after them, within their document. A document that crosses a border loses context there but no
    token, and with a lookahead of 1 every token but a document's first is predicted once.
    """

    def __init__(self, stream: TokenStream, context: int, pad: int = 0, lookahead: int = 1):
        self.tokens, self.word_starts = stream.tokens, stream.word_starts
        self.context, self.pad, self.lookahead = context, pad, lookahead
        lengths = np.diff(np.append(stream.starts, len(stream.tokens)))
        self.document = np.repeat(np.arange(len(stream.starts)), lengths)
        # The last token, a document's end, has nothing to predict: it opens no window of its own.
        self.count = max(1, -(-(len(self.tokens) - 1) // context))

    def __len__(self) -> int:
        return self.count

    @property
    def targets(self) -> int:
        """How many tokens are predicted in all."""
        ahead = self.lookahead
        return int((self.document[ahead:] == self.document[: len(self.document) - ahead]).sum())

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """One window: input_ids, labels (shifted already), position_ids, document; each int64 [context].

        Of a stream that knows them also word_starts.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"window {index} of {self.count}")
        begin = index * self.context
        here = slice(begin, begin + self.context)
        size = len(self.tokens[here])
        window = {
            "input_ids": np.full(self.context, self.pad, dtype=np.int64),
            "labels": np.full(self.context, IGNORED, dtype=np.int64),
            "position_ids": np.zeros(self.context, dtype=np.int64),
            "document": np.full(self.context, -1, dtype=np.int64),
        }
        document = self.document[here]
        window["input_ids"][:size] = self.tokens[here]
        window["document"][:size] = document
        first = np.maximum.accumulate(np.where(np.diff(document, prepend=-1) != 0, np.arange(size), 0))
        window["position_ids"][:size] = np.arange(size) - first
        ahead = slice(begin + self.lookahead, begin + self.lookahead + self.context)
        following = self.tokens[ahead]
        same = self.document[ahead] == document[: len(following)]
        window["labels"][: len(following)] = np.where(same, following, IGNORED)
        if self.word_starts is not None:
            window["word_starts"] = np.ones(self.context, dtype=np.int64)
            window["word_starts"][:size] = self.word_starts[here]
        return window
