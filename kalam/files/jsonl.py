"""JSONL files and JSON documents."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kalam.files.atomic import atomic_write
from kalam.files.errors import InputError

Shard = tuple[int, int]  # (k, n): the k-th of n, counted from 1
WHOLE: Shard = 1, 1


def read_jsonl(path: str | Path, shard: Shard = WHOLE) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file, or of a shard of it; blank lines are passed over.

    Shards are about equally many bytes, cut between lines; end to end they are the file. One may be empty.
    Raises InputError naming the file and the line that is not UTF-8 or not a JSON object.
    """
    with open(path, "rb") as handle:
        for begin, line in _lines(handle, shard):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                raise InputError(f"{_place(path, begin)}: not a line of JSON in UTF-8: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{_place(path, begin)}: a JSON object is wanted, found {type(row).__name__}")
            yield row


def _lines(handle: BinaryIO, shard: Shard) -> Iterator[tuple[int, bytes]]:
    """The lines that begin within a shard, each with the byte it begins at."""
    number, count = shard
    size = os.fstat(handle.fileno()).st_size
    begin, end = size * (number - 1) // count, size * number // count
    if begin:
        handle.seek(begin - 1)
        begin += len(handle.readline()) - 1  # the line that the border cuts is of the shard before
    while begin < end and (line := handle.readline()):
        yield begin, line
        begin += len(line)


def _place(path: str | Path, begin: int) -> str:
    with open(path, "rb") as handle:
        number = handle.read(begin).count(b"\n") + 1
    return f"{path}:{number}"


def write_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows, atomically; returns how many."""
    count = 0
    with atomic_write(path) as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_json(path: str | Path) -> Any:
    """One JSON document. Raises InputError naming the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON in UTF-8: {error}") from None


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON document, atomically, indented, with sorted keys."""
    with atomic_write(path) as handle:
        json.dump(value, handle, ensure_ascii=False, indent=2, sort_keys=True)
        handle.write("\n")
