"""Rows that stay in their files."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

from kalam.files.jsonl import read_jsonl


class StoredRows(Sequence[dict[str, Any]]):
    """The rows of JSONL files, end to end, each read whenever it is asked for; only where it begins is held.

    lengths: how many rows each file has.
    """

    def __init__(self, paths: Sequence[str | Path]):
        self._paths, self._begins, self.lengths = paths, array("q"), []
        for path in paths:
            before, begin = len(self._begins), 0
            with open(path, "rb") as handle:
                for line in handle:
                    if line.strip():
                        self._begins.append(begin)
                    begin += len(line)
            self.lengths.append(len(self._begins) - before)
        self._first = list(accumulate(self.lengths, initial=0))[:-1]

    def __len__(self) -> int:
        return len(self._begins)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return chain.from_iterable(map(read_jsonl, self._paths))

    def __getitem__(self, index: int) -> dict[str, Any]:
        with open(self._paths[bisect_right(self._first, index) - 1], "rb") as handle:
            handle.seek(self._begins[index])
            return json.loads(handle.readline())


class Picked(Sequence[dict[str, Any]]):
    """Some rows, by their places among others."""

    def __init__(self, rows: Sequence[dict[str, Any]], places: Sequence[int]):
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if any(one >= other for one, other in pairwise(self._places)):
            return map(self._rows.__getitem__, self._places)
        return self._in_order()

    def _in_order(self) -> Iterator[dict[str, Any]]:
        """Rows that are picked in their order: one after the other from the files, not each by itself."""
        wanted = iter(self._places)
        place = next(wanted, None)
        for number, row in enumerate(self._rows):
            if number == place:
                yield row
                place = next(wanted, None)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._rows[self._places[index]]
