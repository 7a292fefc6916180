"""Packed windows: documents side by side that never attend to one another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from kalam.files.arrays import atomic_arrays, map_arrays
from kalam.files.atomic import atomic_write
from kalam.files.errors import InputError
from kalam.text.tokens import IGNORED
from kalam.training.examples import Draw, Example, Examples

PADDING = -1  # the document that padding is of

# What a task writes of a document: its `tokens`, and beside them, by name, columns that say yes or no of each.
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class TokenStream:
    """Documents end to end.

    tokens: int32 [n]; starts: int64 [documents], the index of each document's first token;
    columns: bool [n] each, what a task wants to know of every token, by name.
    """

    tokens: np.ndarray
    starts: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Iterable[Sequence[int]], **columns: Iterable[Sequence[bool]]) -> "TokenStream":
        """A stream that is held; every column has a row for each document."""
        documents = list(documents)
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        tokens = np.fromiter(chain.from_iterable(documents), dtype=np.int32)
        marks = {name: np.fromiter(chain.from_iterable(rows), dtype=bool) for name, rows in columns.items()}
        return cls(tokens, np.cumsum(lengths) - lengths, marks)

    @staticmethod
    def write(path: str | Path, documents: Iterable[Columns]) -> None:
        """Write documents to one safetensors file as they come, atomically; none of them is held.

        All have the columns of the first; each is as long as its tokens, or ValueError is raised.
        """
        documents = iter(documents)
        first = list(islice(documents, 1))
        dtypes = {name: np.int32 if name == "tokens" else np.bool for document in first for name in document}
        start = 0
        with atomic_arrays(path, {"starts": np.int64, **dtypes}) as parts:
            for document in chain(first, documents):
                if len({len(values) for values in document.values()}) != 1:
                    raise ValueError(
                        f"a document's columns differ in length: { {n: len(v) for n, v in document.items()} }"
                    )
                parts["starts"].write(np.int64(start).tobytes())
                for name, dtype in dtypes.items():
                    parts[name].write(np.asarray(document[name], dtype).tobytes())
                start += len(document["tokens"])

    @staticmethod
    def join(shards: Sequence[str | Path], path: str | Path) -> None:
        """Write the streams of some files as one, in their order; the bytes are those of `write` of all documents.

        A file that was written of no document has no columns. Raises InputError where none has any.
        """
        dtypes = {name: array.dtype for shard in shards for name, array in map_arrays(shard).items()}
        if "tokens" not in dtypes:
            raise InputError(f"{path}: no row in any of {len(shards)} shards")
        start = 0
        with atomic_arrays(path, dtypes) as parts:
            for arrays in filter(lambda arrays: "tokens" in arrays, map(map_arrays, shards)):
                for name, array in arrays.items():
                    parts[name].write((array + start if name == "starts" else array).tobytes())
                start += len(arrays["tokens"])

    def save(self, path: str | Path) -> None:
        """Write a stream that is held to one safetensors file, atomically: the same bytes as of `write`."""
        from safetensors.numpy import save

        with atomic_write(path, "wb") as handle:
            handle.write(save({"tokens": self.tokens, "starts": self.starts, **self.columns}))

    @classmethod
    def load(cls, path: str | Path) -> "TokenStream":
        """The stream of a file, which stays there: training reads a window at a time."""
        arrays = map_arrays(path)
        return cls(arrays.pop("tokens"), arrays.pop("starts"), arrays)


class PackedWindows(Examples):
    """Windows of `context` tokens over a stream; every token is in one, none but the last window is padded.

    Window i reads tokens [i * context, (i + 1) * context); its labels are the tokens `lookahead`
    after them, within their document. A document that crosses a border loses context there but no
    token, and with a lookahead of 1 every token but a document's first is predicted once.
    """

    def __init__(self, stream: TokenStream, context: int, pad: int = 0, lookahead: int = 1):
        self.tokens, self.starts, self.columns = stream.tokens, stream.starts, stream.columns
        self.context, self.pad, self.lookahead = context, pad, lookahead
        # The last token, a document's end, has nothing to predict: it opens no window of its own.
        self.costs = np.broadcast_to(context, max(1, -(-(len(self.tokens) - 1) // context)))
        self.borders = np.unique(stream.starts)

    @property
    def targets(self) -> int:
        """How many tokens are predicted in all."""
        lengths = np.diff(self.starts, append=len(self.tokens))
        return int(np.maximum(lengths - self.lookahead, 0).sum())

    def labels(self, index: int, draw: Draw | None = None) -> int:
        begin, ahead = index * self.context, self.lookahead
        end = min(begin + self.context, len(self.tokens) - ahead)
        passed = np.searchsorted(self.borders, [begin + ahead, end + ahead])
        return max(0, int(end - begin - ahead * (passed[1] - passed[0])))

    def __getitem__(self, index: int) -> Example:
        """One window: input_ids, labels (shifted already), position_ids, document; each int64 [context].

        Of a stream with further columns also these; 0 in padding.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        begin = index * self.context
        here = slice(begin, begin + self.context)
        size = len(self.tokens[here])
        padding = {"input_ids": self.pad, "labels": IGNORED, "position_ids": 0, "document": PADDING}
        padding |= dict.fromkeys(self.columns, 0)
        window = {name: np.full(self.context, value, dtype=np.int64) for name, value in padding.items()}
        document = self._document(begin, begin + size)
        window["input_ids"][:size] = self.tokens[here]
        window["document"][:size] = document
        first = np.maximum.accumulate(np.where(np.diff(document, prepend=-1) != 0, np.arange(size), 0))
        window["position_ids"][:size] = np.arange(size) - first
        following = self.tokens[begin + self.lookahead : begin + self.lookahead + self.context]
        ahead = self._document(begin + self.lookahead, begin + self.lookahead + len(following))
        same = ahead == document[: len(following)]
        window["labels"][: len(following)] = np.where(same, following, IGNORED)
        for name, column in self.columns.items():
            window[name][:size] = column[here]
        return window

    def _document(self, begin: int, end: int) -> np.ndarray:
        """The number of the document that has each token of a range; an empty document has none."""
        return np.searchsorted(self.starts, np.arange(begin, end), side="right") - 1
