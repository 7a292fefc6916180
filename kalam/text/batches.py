"""Texts in batches of bounded size."""

from collections.abc import Iterable, Iterator


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in their order; a batch ends with the text that brings it to `size` characters."""
    batch, held = [], 0
    for text in texts:
        batch.append(text)
        held += len(text)
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
