"""Packed windows: documents side by side that never attend to one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IGNORED = -100


@dataclass(frozen=True)
class TokenStream:
    """Documents end to end.

    tokens: int32 [n], starts: int64 [documents], the index of each document's first token.
    """

    tokens: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, documents: Sequence[Sequence[int]]) -> "TokenStream":
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        tokens = np.fromiter((token for document in documents for token in document), dtype=np.int32)
        return cls(tokens, np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64))

    def save(self, path: str | Path) -> None:
        """Write both arrays to one safetensors file, atomically."""
        from safetensors.numpy import save

        from kalam.files.atomic import atomic_write

        with atomic_write(path, "wb") as handle:
            handle.write(save({"tokens": self.tokens, "starts": self.starts}))

    @classmethod
    def load(cls, path: str | Path) -> "TokenStream":
        from safetensors.numpy import load_file

        arrays = load_file(path)
        return cls(arrays["tokens"], arrays["starts"])


class PackedWindows:
    """Windows of `context` tokens over a stream; every token but a document's first is predicted once.

    Window i reads tokens [i * context, (i + 1) * context) and predicts the ones after them,
    so a document that crosses a border loses context there but no token.
    """

    def __init__(self, stream: TokenStream, context: int, pad: int = 0):
        self.tokens, self.context, self.pad = stream.tokens, context, pad
        lengths = np.diff(np.append(stream.starts, len(stream.tokens)))
        self.document = np.repeat(np.arange(len(stream.starts)), lengths)
        # The last token has nothing after it to predict: it opens no window of its own.
        self.count = max(1, -(-(len(self.tokens) - 1) // context))

    def __len__(self) -> int:
        return self.count

    @property
    def targets(self) -> int:
        """How many tokens are predicted in all."""
        return int((self.document[1:] == self.document[:-1]).sum())

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """One window: input_ids, labels (shifted already), position_ids, document; each int64 [context]."""
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
        following = self.tokens[begin + 1 : begin + self.context + 1]
        same = self.document[begin + 1 : begin + self.context + 1] == document[: len(following)]
        window["labels"][: len(following)] = np.where(same, following, IGNORED)
        return window


def block_causal_mask(document, window: int | None = None, dtype=None):
    """A float mask [batch, 1, context, context]: 0 where a position may look, the lowest float elsewhere.

    A position looks at itself and at earlier ones of its document, `window` of them at most. In this
    additive form every architecture honours it (XGLM reads neither a boolean mask nor block borders
    in position_ids). `document` is an int64 tensor [batch, context], `dtype` float32 by default.
    """
    import torch

    context = document.shape[1]
    causal = torch.ones(context, context, dtype=torch.bool, device=document.device).tril()
    if window:
        causal = causal.triu(1 - window)
    allowed = (document[:, :, None] == document[:, None, :]) & causal
    dtype = dtype or torch.float32
    mask = torch.zeros(allowed.shape, dtype=dtype, device=document.device)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min)[:, None]
