"""Rows of a file, all or those of some parts."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl


def rows_of(path: str | Path, parts: Collection[str] | None = None, field: str = "register") -> list[dict[str, Any]]:
    """The rows of a file whose `field` names one of the parts (all rows, where no part is named).

    Raises InputError where there is none: whatever follows would be about nothing.
    """
    rows = [row for row in read_jsonl(path) if parts is None or row[field] in parts]
    if not rows:
        raise InputError(f"{path}: no row" + ("" if parts is None else f" of {field} {', '.join(parts)}"))
    return rows


def texts_of(path: str | Path, parts: Collection[str] | None = None, field: str = "register") -> list[str]:
    """The texts of `rows_of`."""
    return [row["text"] for row in rows_of(path, parts, field)]


def texts_by_part(path: str | Path, field: str = "register") -> dict[str, list[str]]:
    """The texts of a file, by part. Raises InputError where there is none."""
    texts: dict[str, list[str]] = {}
    for row in rows_of(path):
        texts.setdefault(row[field], []).append(row["text"])
    return texts
