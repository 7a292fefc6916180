"""At most so many rows in all."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Any, TypeVar

from kalam.files.digests import digest_value

T = TypeVar("T")


def in_turn(iterables: Iterable[Iterable[T]]) -> Iterator[T]:
    """One element of each in the given order, again and again, as long as it has any."""
    end = object()
    for elements in zip_longest(*iterables, fillvalue=end):
        yield from (element for element in elements if element is not end)


def within_limit(sources: Sequence[Sequence[dict[str, Any]]], most: int, sampling: str, seed: int) -> set[str]:
    """The `id` of at most so many rows of the sources.

    With `first` the sources take turns; with `random` they are the rows of the lowest digests of
    seed and `id`, whatever their source and order.
    """
    if sampling == "first":
        chosen = in_turn(sources)
    else:
        chosen = sorted(chain.from_iterable(sources), key=lambda row: digest_value([seed, row["id"]]))
    return {row["id"] for row in islice(chosen, most)}
