"""Files for reading, compressed or not."""

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from kalam.files.errors import InputError

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
BUFFER = 2**20
MOST_LINE = 2**28  # bytes of a line, which is held in memory as a whole
KINDS = {  # what is no file
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def format_of(path: str | Path) -> str:
    """The suffix that says what a file holds: `.jsonl` of `rows.JSONL.gz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def is_compressed(path: str | Path) -> bool:
    """Whether the name of a file says so."""
    return Path(path).suffix.lower() in COMPRESSIONS


def kind_of(path: str | Path) -> str:
    """What a path leads to: a file, a folder, a pipe, a socket, a device, a link to nothing, or nothing."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:  # of links in a circle too
        return "a link to nothing" if Path(path).is_symlink() else "nothing"
    return next((name for is_kind, name in KINDS.items() if is_kind(mode)), "a file")


def require_file(path: str | Path, name: str, key: str = "") -> None:
    """Raises InputError, with the key of the configuration and the name, for what is no file or has no UTF-8 name."""
    place = f"{key}: " if key else ""
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise InputError(f"{place}{name!r}: its name is not UTF-8; allowed are names that are")
    if (kind := kind_of(path)) != "a file":
        raise InputError(f"{place}{name}: found {kind}; allowed is a file")


@contextmanager
def open_plain(path: str | Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed. Raises InputError naming the file where they cannot be read to the end, and
    for what is no file."""
    require_file(path, str(path))  # a pipe would keep its reader waiting
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


def read_whole(path: str | Path, most: int, more: str = "") -> bytes:
    """All bytes of a file, decompressed. Raises InputError as `open_plain`, and for more than `most`, before any is
    read where the file's size tells it; `more` says what may be larger."""
    with open_plain(path) as handle:
        size = 0 if is_compressed(path) else Path(path).stat().st_size
        body = handle.read(most + 1) if size <= most else b""
    if max(size, len(body)) > most:
        raise InputError(f"{path}: found more than {most} bytes; allowed are {most}{more}")
    return body


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of a file in UTF-8, with their ends and without a byte order mark, each with its number.

    Raises InputError naming the file and the line that cannot be read.
    """
    number = 0
    with open_plain(path) as handle:
        try:
            for number, line in enumerate(iter(partial(handle.readline, MOST_LINE + 1), b""), start=1):
                if len(line) > MOST_LINE:
                    raise InputError(
                        f"{path}:{number}: found a line of more than {MOST_LINE} bytes; allowed are {MOST_LINE}"
                    )
                yield number, line.decode("utf-8" if number > 1 else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: not UTF-8: {error}") from None
        except OSError as error:
            raise InputError(f"{path}:{number + 1}: cannot be read: {error}") from None
