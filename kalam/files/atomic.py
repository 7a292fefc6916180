"""Outputs that are whole or absent: written under a temporary name, then renamed.

Every writer has a temporary name of its own, `.NAME.HEX.tmp`, and removes those of others as it begins: what dead
ones left, and what one has begun that was left behind alive, whose rename then fails. Of two, the later one stands.
"""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kalam.files.claim import require_claim
from kalam.files.errors import InputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open a temporary neighbour of `path`; rename it to `path` when the block succeeds.

    Text is UTF-8 with `\n`. The bytes reach the disk before the rename, so a crash
    leaves either the old file or the new one. On an exception nothing is left behind. Raises InputError
    where the disk is full, and where another process has begun to make the file.
    """
    path = Path(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    with replacement(path) as temporary, open(temporary, mode, **text) as handle:
        yield handle
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def replacement(path: str | Path, suffix: str = "") -> Iterator[Path]:
    """A temporary name, that ends in `suffix`, for a file which becomes `path` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path, suffix)
    temporary = _name(path, suffix)
    try:
        with needs_room(path):
            yield temporary
        _require_place(temporary, path)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Fill a temporary neighbour of `path`; it replaces `path` when the block succeeds.

    It is on the disk, with every file, when the block has ended. Raises InputError as `atomic_write` does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary, old = _name(path), _name(path)
    temporary.mkdir()
    # Held open, so that a folder which a library makes again where this one was taken away is known for another.
    made = os.open(temporary, os.O_RDONLY)
    try:
        with needs_room(path):
            yield temporary
            _require_place(temporary, path, made)
            for part in (*temporary.rglob("*"), temporary):
                if not part.is_symlink():
                    sync(part)
        _require_place(temporary, path, made)
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
        sync(path.parent)
    except FileNotFoundError:
        _require_place(temporary, path, made)
        raise
    finally:
        os.close(made)
        _discard(temporary)
        _discard(old)


@contextmanager
def needs_room(path: str | Path) -> Iterator[None]:
    """Have a full disk told as an InputError that names `path`, whatever the block writes there with."""
    try:
        yield
    except Exception as error:
        if not disk_is_full(error):
            raise
        raise InputError(f"{path}: {full_disk(error)}") from None


def disk_is_full(error: BaseException) -> bool:
    """Whether that is what an exception says; safetensors has one of its own."""
    return getattr(error, "errno", None) in FULL or any(f"(os error {number})" in str(error) for number in FULL)


def full_disk(error: BaseException) -> str:
    """What there is to say of it and to do."""
    reason = getattr(error, "strerror", None) or os.strerror(errno.ENOSPC)
    return f"cannot be written: {reason}; make room on the disk and run again"


def sync(path: str | Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_place(temporary: Path, path: Path, made: int | None = None) -> None:
    """Raise InputError where another process has begun to make `path`, and so has taken the temporary file away."""
    require_claim(path)
    there = temporary.exists() and (made is None or os.path.samestat(os.fstat(made), temporary.stat()))
    if not there and path.parent.exists():
        raise InputError(f"{path}: left as it is, since another process has begun to make it")


def _name(path: Path, suffix: str = "") -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp{suffix}")


def _sweep(path: Path, suffix: str = "") -> None:
    form = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}\.tmp{re.escape(suffix)}")
    with os.scandir(path.parent) as entries:
        left = [entry.path for entry in entries if form.fullmatch(entry.name)]
    for found in left:
        _discard(Path(found))


def _discard(left: Path) -> None:
    if left.is_dir():
        # At once, so that nobody goes on in a folder that is being emptied and takes it for whole.
        gone = left.with_name(f".{secrets.token_hex(6)}.gone.tmp")
        try:
            os.replace(left, gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
