"""Texts, or what has a size, in batches of bounded size."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
# Characters of documents that are held at once where what is of like length goes together: enough that next to
# nothing is padded, and little beside the libraries.
CHUNK = 1 << 20


def batches(texts: Iterable[T], size: int, length: Callable[[T], int] = len) -> Iterator[list[T]]:
    """The texts in their order; a batch ends with the one that brings it to `size` characters, or of whatever `length`
    counts."""
    batch, held = [], 0
    for text in texts:
        batch.append(text)
        held += length(text)
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
