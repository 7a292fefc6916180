"""TSV tables."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kalam.files.atomic import atomic_write


def write_tsv(path: str | Path, rows: Iterable[dict[str, Any]], columns: list[str]) -> None:
    """Write rows under `columns`; None becomes an empty cell, floats keep six significant digits.

    Raises ValueError for a row with a key that is no column.
    """
    with atomic_write(path) as handle:
        writer = csv.DictWriter(handle, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _cell(value) for key, value in row.items()})


def read_tsv(path: str | Path) -> list[dict[str, str]]:
    """The rows of a TSV file as dictionaries of strings."""
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
