"""How much text each source gives to each split."""

from array import array
from collections import Counter, defaultdict
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
    sizes: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    fractions: dict[tuple[str, str, str], array] = defaultdict(lambda: array("d"))
    for name, documents in splits.items():
        for document in documents:
            text, cell = document["text"], (document["register"], document["source"], name)
            figures = {"bytes": len(text.encode()), "characters": len(text), "words": len(text.split())}
            sizes[cell].update(documents=1, **figures)
            fractions[cell].append(document["script_fraction"])
    return [
        dict(zip(("register", "source", "split"), cell, strict=True))
        | {key: sizes[cell][key] for key in COLUMNS[3:-1]}
        | {"script_fraction": median(fractions[cell])}
        for cell in sorted(sizes, key=lambda cell: (*cell[:2], order[cell[2]]))
    ]
