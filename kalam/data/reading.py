"""Rows of any kind, one after the other, from files of every usual format."""

import json
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from kalam.data.fields import Rows, finite, require_columns
from kalam.data.tabular import read_parquet, read_table
from kalam.files.errors import InputError
from kalam.files.opening import format_of, read_lines, read_whole

MOST_JSON = 2**29  # bytes of a JSON array, which is held in memory as a whole


def read_rows(path: str | Path, required: Collection[str] = (), columns: Collection[str] | None = None) -> Rows:
    """The rows of a file, each with its number, made as they are asked for; the format is that of the name.

    The number is that of the (first) line, or of the row where there are no lines (JSON, parquet). Values are
    what the format has: cells of CSV and TSV are strings, whatever they look like; a line of text is `text`. NaN
    and the infinities are None, at any depth. Blank lines are passed over. `columns` are those that are wanted,
    where not all are: tables make no others.

    Raises InputError in one line with file and line: where one of the `required` columns is in no row (naming
    those that are), where a name stands twice, where a row is broken, and where the file ends before its time.
    """
    read = FORMATS.get(format_of(path))
    if read is None:
        raise InputError(f"{path}: found {format_of(path) or 'no suffix'}; allowed are {', '.join(FORMATS)}")
    yield from read(path, required, columns)


def _read_jsonl(path: str | Path, required: Collection[str], _: Collection[str] | None) -> Rows:
    def rows() -> Rows:
        for number, line in read_lines(path):
            line = line.removeprefix("\ufeff")  # of a file that was put behind another
            if line and not line.isspace():
                yield number, _as_object(_parse(line, path, number), path, number)

    require_columns(required, (row for _, row in rows()), path)
    yield from rows()


def _read_json(path: str | Path, required: Collection[str], _: Collection[str] | None) -> Rows:
    body = read_whole(path, MOST_JSON, ", and more as JSONL")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8: {error}") from None
    found = _parse(text, path) if text.strip() else []
    if not isinstance(found, list):
        raise InputError(f"{path}: found {type(found).__name__}; allowed is an array of objects, or JSONL as .jsonl")
    rows = [_as_object(row, path, number) for number, row in enumerate(found, start=1)]
    require_columns(required, rows, path)
    yield from enumerate(rows, start=1)


def _read_text(path: str | Path, required: Collection[str], _: Collection[str] | None) -> Rows:
    require_columns(required, [["text"]], path)
    for number, line in read_lines(path):
        if line and not line.isspace():
            yield number, {"text": line.rstrip("\r\n")}


FORMATS = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": partial(read_table, delimiter=","),
    ".tsv": partial(read_table, delimiter="\t"),
    ".parquet": read_parquet,
    ".txt": _read_text,
}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"found key {twice} twice; allowed is once")
    return found


def _parse(text: str, path: str | Path, line: int | None = None) -> Any:
    try:
        return _decode(text)
    except (ValueError, RecursionError) as error:
        said = error if isinstance(error, InputError) else f"not JSON: {error}"
        raise InputError(f"{path}:{line}: {said}" if line else f"{path}: {said}") from None


_decode = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=lambda _: None, parse_float=lambda digits: finite(float(digits))
).decode


def _as_object(row: Any, path: str | Path, number: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise InputError(f"{path}:{number}: found {type(row).__name__}; allowed is a JSON object")
    return row
