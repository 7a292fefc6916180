"""Rows of a file, all or those of some parts."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any, Generic, TypeVar

from kalam.files.digests import digest_text
from kalam.files.errors import InputError
from kalam.files.jsonl import WHOLE, Shard, read_jsonl
from kalam.files.stored_rows import StoredRows

T = TypeVar("T")
SHOWN = 64  # rows that are held to be looked at: more than a page has


@dataclass(frozen=True)
class Stream(Generic[T]):
    """What is read anew each time somebody goes through it, and never held."""

    read: Callable[[], Iterator[T]]

    def __iter__(self) -> Iterator[T]:
        return self.read()


def rows_of(
    path: str | Path, parts: Collection[str] | None = None, field: str = "register", shard: Shard = WHOLE
) -> Iterable[dict[str, Any]]:
    """The rows of a file whose `field` names one of the parts (all rows, where no part is named), as a stream.

    Going through them raises InputError where there is none, as whatever follows would be about nothing; but a
    shard of the file may have none.
    """

    def read() -> Iterator[dict[str, Any]]:
        found = False
        for row in read_jsonl(path, shard):
            if parts is None or row[field] in parts:
                found = True
                yield row
        if not found and shard == WHOLE:
            raise InputError(f"{path}: no row" + ("" if parts is None else f" of {field} {', '.join(parts)}"))

    return Stream(read)


def weighted(
    rows: Iterable[dict[str, Any]], weights: Mapping[str, float], field: str = "register"
) -> Iterable[dict[str, Any]]:
    """Each row as often as the weight of its part says (1, where it has none): of 2.5, twice, and half of the rows
    once more, the same ones each time."""

    def read() -> Iterator[dict[str, Any]]:
        for row in rows:
            weight = weights.get(row[field], 1)
            luck = int.from_bytes(sha256(row["id"].encode("utf-8")).digest()[:4]) / 2**32
            yield from [row] * (int(weight) + (luck < weight % 1))

    return Stream(read) if weights else rows


def stored_rows(*paths: str | Path) -> StoredRows:
    """The rows of files, end to end, each to be read when it is asked for. Raises InputError where a file has none."""
    rows = StoredRows(paths)
    for path, number in zip(paths, rows.lengths, strict=True):
        if not number:
            raise InputError(f"{path}: no row")
    return rows


def parts_in(rows: Iterable[dict[str, Any]], field: str = "register") -> list[str]:
    """The parts that rows are of, in the order in which they come."""
    return list(dict.fromkeys(row[field] for row in rows))


def texts_of(path: str | Path, parts: Collection[str] | None = None, field: str = "register") -> Iterable[str]:
    """The texts of `rows_of`, as a stream."""
    rows = rows_of(path, parts, field)
    return Stream(lambda: (row["text"] for row in rows))


def by_digest(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows in the order of the digests of their ids, which says nothing about them and is the same for everybody.

    Who takes some has them at the price of going through all rows once; it is once more for every `SHOWN` rows.
    """
    last: tuple[str, int] = ("", -1)
    while True:
        keyed = ((digest_text(row["id"]), place, row) for place, row in enumerate(rows))
        found = nsmallest(SHOWN, (each for each in keyed if each[:2] > last), key=lambda each: each[:2])
        yield from (row for _, _, row in found)
        if len(found) < SHOWN:
            return
        last = found[-1][:2]
