"""Files for reading, compressed or not."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kalam.files.errors import InputError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
BUFFER = 2**20


def format_of(path: str | Path) -> str:
    """The suffix that says what a file holds: `.jsonl` of `rows.JSONL.gz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def is_compressed(path: str | Path) -> bool:
    """Whether the name of a file says so."""
    return Path(path).suffix.lower() in COMPRESSIONS


@contextmanager
def open_plain(path: str | Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed. Raises InputError naming the file where they cannot be read to the end."""
    try:
        if is_compressed(path):
            import pyarrow

            with pyarrow.input_stream(str(path), compression=COMPRESSIONS[Path(path).suffix.lower()]) as stream:
                yield io.BufferedReader(stream, BUFFER)
        else:
            with open(path, "rb") as handle:
                yield handle
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of a file in UTF-8, with their ends and without a byte order mark, each with its number.

    Raises InputError naming the file and the line that cannot be read.
    """
    number = 0
    with open_plain(path) as handle:
        try:
            for number, line in enumerate(handle, start=1):
                yield number, line.decode("utf-8" if number > 1 else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: not UTF-8: {error}") from None
        except OSError as error:
            raise InputError(f"{path}:{number + 1}: cannot be read: {error}") from None
