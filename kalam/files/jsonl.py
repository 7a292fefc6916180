"""JSONL files and JSON documents."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_write
from kalam.files.errors import InputError


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file; blank lines are passed over.

    Raises InputError naming the file and the line that is not UTF-8 or not a JSON object.
    """
    with open(path, "rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except ValueError as error:
                raise InputError(f"{path}:{number}: not a line of JSON in UTF-8: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: a JSON object is wanted, found {type(row).__name__}")
            yield row


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
    except ValueError as error:
        raise InputError(f"{path}: not JSON in UTF-8: {error}") from None


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON document, atomically, indented, with sorted keys."""
    with atomic_write(path) as handle:
        json.dump(value, handle, ensure_ascii=False, indent=2, sort_keys=True)
        handle.write("\n")
