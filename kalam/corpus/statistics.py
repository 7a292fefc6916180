"""How much text each source gives to each split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from kalam.files.jsonl import read_jsonl
from kalam.files.tables import write_tsv

COLUMNS = ["register", "source", "split", "documents", "bytes", "characters", "words", "script_fraction"]


def write_statistics(splits: Mapping[str, str | Path], table: str | Path) -> None:
    """Write the statistics of files of documents, named by split, as TSV."""
    write_tsv(table, statistics({name: read_jsonl(path) for name, path in splits.items()}), COLUMNS)


def statistics(splits: Mapping[str, Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each source and split, by register, source and the order of `splits`.

    Bytes are UTF-8, characters code points, words what white space parts; `script_fraction` is
    the median of the documents.
    """
    order = {name: place for place, name in enumerate(splits)}
    cells: dict[tuple[str, str, str], list[tuple[int, int, int, float]]] = defaultdict(list)
    for name, documents in splits.items():
        for document in documents:
            text = document["text"]
            figures = len(text.encode()), len(text), len(text.split()), document["script_fraction"]
            cells[document["register"], document["source"], name].append(figures)
    rows = []
    for register, source, name in sorted(cells, key=lambda cell: (*cell[:2], order[cell[2]])):
        sizes = cells[register, source, name]
        octets, characters, words, fractions = zip(*sizes, strict=True)
        rows.append(
            {
                "register": register,
                "source": source,
                "split": name,
                "documents": len(sizes),
                "bytes": sum(octets),
                "characters": sum(characters),
                "words": sum(words),
                "script_fraction": median(fractions),
            }
        )
    return rows
