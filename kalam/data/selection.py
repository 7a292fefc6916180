"""Documents of a split, by register."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl


def documents_of(path: str | Path, registers: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The documents of a file that are in one of the registers (in any, where none is named).

    Raises InputError where there is none: whatever follows would be about nothing.
    """
    found = [row for row in read_jsonl(path) if registers is None or row["register"] in registers]
    if not found:
        raise InputError(f"{path}: no document" + (f" of register {', '.join(registers)}" if registers else ""))
    return found


def texts_of(path: str | Path, registers: Collection[str] | None = None) -> list[str]:
    """The texts of `documents_of`."""
    return [document["text"] for document in documents_of(path, registers)]


def texts_by_register(path: str | Path) -> dict[str, list[str]]:
    """The texts of a file, by register."""
    found: dict[str, list[str]] = {}
    for document in documents_of(path):
        found.setdefault(document["register"], []).append(document["text"])
    return found
