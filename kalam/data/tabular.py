"""Rows of tables: CSV, TSV, parquet."""

import csv
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

from kalam.data.fields import Rows, finite, require_columns
from kalam.files.errors import InputError
from kalam.files.opening import BUFFER, MOST_LINE, is_compressed, open_plain, read_lines

BATCH = 64  # rows of a parquet file that are made at a time


def read_table(path: str | Path, required: Collection[str], columns: Collection[str] | None, delimiter: str) -> Rows:
    """The rows of a CSV or TSV file, each with the number of its first line; every cell is a string.

    The module `csv` and not pandas, which fills up rows that are too short, makes an index of cells too many,
    and cannot tell a line. Raises InputError as `read_rows` does.
    """
    rows = _cells(path, delimiter)
    line, header = next(rows, (0, []))
    _require_unique(header, f"{path}:{line}")
    require_columns(required, [header] if header else [], path)
    taken = _taken(header, columns)
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"{path}:{line}: found {len(cells)} cells; allowed are {len(header)}, as in the header")
        yield line, {name: cells[at] for at, name in taken}


def read_parquet(path: str | Path, required: Collection[str], columns: Collection[str] | None) -> Rows:
    """The rows of a parquet file, each with its number; a map is a dictionary.

    Raises InputError as `read_rows` does.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    with ExitStack() as stack:
        handle = stack.enter_context(open_plain(path))
        if is_compressed(path):
            compressed, handle = handle, stack.enter_context(TemporaryFile())
            shutil.copyfileobj(compressed, handle, BUFFER)  # for parquet is read from its end
        try:
            with ParquetFile(handle, buffer_size=BUFFER, pre_buffer=False) as file:
                names = file.schema_arrow.names
                _require_unique(names, path)
                require_columns(required, [names], path)
                wanted = [name for _, name in _taken(names, columns)]
                for batch in file.iter_batches(BATCH, columns=wanted):
                    for row in batch.to_pylist(maps_as_pydicts="strict"):
                        number += 1
                        yield number, finite(row)
        except InputError:
            raise
        except (pyarrow.ArrowException, OSError, ArithmeticError, LookupError, ValueError) as error:
            said = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path}:{number + 1}: cannot be read: {said}") from None


def _cells(path: str | Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MOST_LINE)  # of all readers: a cell may hold a book
    reader = csv.reader((line for _, line in read_lines(path)), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{path}:{line}: no row of a table: {error}") from None
        if cells is None:
            return
        if cells:
            yield line, cells


def _taken(names: list[str], columns: Collection[str] | None) -> list[tuple[int, str]]:
    return [(at, name) for at, name in enumerate(names) if columns is None or name in columns]


def _require_unique(names: list[str], place: str | Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{place}: found column {', '.join(map(repr, twice))} twice; allowed is once")
