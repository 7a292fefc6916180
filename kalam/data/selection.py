"""Rows of a file, all or those of some parts."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from kalam.files.errors import InputError
from kalam.files.jsonl import WHOLE, Shard, read_jsonl

T = TypeVar("T")


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


def texts_of(path: str | Path, parts: Collection[str] | None = None, field: str = "register") -> Iterable[str]:
    """The texts of `rows_of`, as a stream."""
    rows = rows_of(path, parts, field)
    return Stream(lambda: (row["text"] for row in rows))


def texts_by_part(path: str | Path, field: str = "register") -> dict[str, list[str]]:
    """The texts of a file, by part. Raises InputError where there is none."""
    texts: dict[str, list[str]] = {}
    for row in rows_of(path):
        texts.setdefault(row[field], []).append(row["text"])
    return texts
