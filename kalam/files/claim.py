"""Whose turn it is to make the files of a job: a process that another has followed puts nothing in its place any more.

A driver that is killed may leave its job behind, which goes on while the next driver starts that job again, perhaps
with other settings. A job claims its log by making that file anew, so the one before it still has the old file open
and finds another under the name. That holds on whatever file system, as far as hosts see each other's files.
"""

import errno
import os
from pathlib import Path
from typing import BinaryIO

from kalam.files.errors import InputError

_held: list[tuple[Path, BinaryIO]] = []  # the last one is this process's


def claim(log: str | Path, anew: bool) -> None:
    """Claim a job by its log, which is made `anew`, or share the claim of the process that did."""
    log = Path(log)
    if anew:
        log.unlink(missing_ok=True)
    _held[:] = [(log.absolute(), open(log, "ab"))]  # noqa: SIM115  held until the process ends


def require_claim(path: str | Path) -> None:
    """Raise InputError where another process has claimed the job that this one makes `path` in."""
    if any(_is_another(log, handle) for log, handle in _held):
        raise InputError(f"{path}: left as it is, since another process has begun to make it ({_held[-1][0]})")


def _is_another(log: Path, handle: BinaryIO) -> bool:
    try:
        return not os.path.samestat(os.fstat(handle.fileno()), log.stat())
    except FileNotFoundError:  # somebody removed it, which claims nothing
        return False
    except OSError as error:
        if error.errno == errno.ESTALE:  # another host made it anew
            return True
        raise
