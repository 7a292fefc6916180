"""One trainer at a time in a folder, on whatever node of a cluster.

The file `lease` says who holds the folder: process, host, SLURM job. On one host the lock on it decides
at once. A lock does not reach another host on every file system, so there the file's time decides: its
holder renews it, and is taken for dead when it no longer does. That time and the present are both
read from the file system, as two hosts' clocks may differ.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kalam.files.errors import InputError
from kalam.training.nodes import has_ended, job

logger = logging.getLogger(__name__)

BEAT = 20  # seconds between two renewals
DEAD = 180  # seconds without one after which nobody is there
SETTLED = 2  # seconds after which, of two who take over at once, the later one is known


@contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold the folder; the lease ends with the block, and with the process however it ends.

    Raises InputError where another holds it. A holder that lost it to another process, after
    minutes in which it could not renew it, ends at once.
    """
    file, me = folder / "lease", f"process {os.getpid()} on {os.uname().nodename}"
    me += f", job {job()}" if job() else ""
    with open(file, "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held(folder, file.read_text(encoding="utf-8")) from None
        taken = await_end(folder, file.read_text(encoding="utf-8"))
        write(handle, me)
        if taken:
            time.sleep(SETTLED)
            if (other := file.read_text(encoding="utf-8")) != me:
                raise held(folder, other)
        stop = threading.Event()
        beating = threading.Thread(target=beat, args=(file, me, stop), daemon=True)
        beating.start()
        try:
            yield
        finally:
            stop.set()
            beating.join()
            write(handle, "")


def await_end(folder: Path, holder: str) -> bool:
    """Whether the lease is taken from a holder on another host, once it shows no life.

    Raises InputError when it does show some. One on this host has left its lock, so it is gone; one
    in this very job was here before the job was requeued.
    """
    process, _, its_job = holder.partition(", job ")
    if not holder or process.endswith(f" on {os.uname().nodename}") or (its_job and its_job == job()):
        return False
    file, renewed = folder / "lease", (folder / "lease").stat().st_mtime
    while not (its_job and has_ended(its_job)) and (silent := now(folder) - renewed) < DEAD:
        logger.info("waiting for a sign of life of %s, heard of %.0f s ago", holder, silent)
        time.sleep(BEAT / 2)
        if file.stat().st_mtime != renewed:
            raise held(folder, holder)
    logger.warning("taking over from %s, which shows no life", holder)
    return True


def held(folder: Path, holder: str) -> InputError:
    return InputError(f"{folder}: held by another training: {holder.strip()}")


def write(handle, holder: str) -> None:
    handle.truncate(0)
    handle.write(holder)
    handle.flush()


def now(folder: Path) -> float:
    """The present by the clock of the folder's file system."""
    probe = folder / f".now-{os.getpid()}.tmp"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def beat(file: Path, me: str, stop: threading.Event) -> None:
    """Renew the lease until told to stop; end the process where it belongs to another."""
    while not stop.wait(BEAT):
        try:
            if (other := file.read_text(encoding="utf-8")) != me:
                logger.error("error: %s: lost to another training: %s", file.parent, other)
                os._exit(1)
            os.utime(file)
        except OSError as error:
            logger.warning("cannot renew %s: %s", file, error)
