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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kalam.files.errors import InputError
from kalam.machine.nodes import has_ended, job

logger = logging.getLogger(__name__)

BEAT = 20  # seconds between two renewals
DEAD = 180  # seconds without one after which nobody is there
SETTLED = 2  # seconds after which, of two who take it at once, the later one is known
WIDTH = 200  # bytes of a holder's name, so that one write replaces another's whole
# File systems of one machine, where the lock reaches every trainer.
OF_ONE_MACHINE = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}


@contextmanager
def lease(folder: Path) -> Iterator[Callable[[], None]]:
    """Hold the folder; the lease ends with the block, and with the process however it ends.

    Yields what is to be called before each write there: a holder that could not renew the lease for a
    while, frozen or cut off, looks first whether it still has it. Raises InputError where another
    holds it. A holder that lost it to another ends at once.
    """
    file, me = folder / "lease", f"process {os.getpid()} on {os.uname().nodename}"
    me += f", job {job()}" if job() else ""
    with open(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "rb+", buffering=0) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held(folder, holder_of(file)) from None
        taken = await_end(folder, holder_of(file))
        write(handle, me)
        if taken or not of_one_machine(folder):
            time.sleep(SETTLED)
            if (other := holder_of(file)) != me:
                raise held(folder, other)
        lease = Lease(file, me)
        stop = threading.Event()
        beating = threading.Thread(target=lease.beat, args=(stop,), daemon=True)
        beating.start()
        try:
            yield lease.require
        finally:
            stop.set()
            beating.join()
            if holder_of(file) == me:
                handle.truncate(0)


class Lease:
    """What this process holds, and has to renew."""

    def __init__(self, file: Path, me: str):
        self.file, self.me, self.renewed = file, me, clock()

    def beat(self, stop: threading.Event) -> None:
        """Renew it until told to stop."""
        while not stop.wait(BEAT):
            try:
                self.renew()
            except OSError as error:
                logger.warning("cannot renew %s: %s", self.file, error)

    def require(self) -> None:
        """Renew it where that was not done for a while. Raises OSError where it cannot be."""
        if clock() - self.renewed > 2 * BEAT:
            self.renew()

    def renew(self) -> None:
        """Renew it; end the process where it belongs to another."""
        if (other := holder_of(self.file)) != self.me:
            logger.error("error: %s: lost to another training: %s", self.file.parent, other)
            os._exit(1)
        os.utime(self.file)
        self.renewed = clock()


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


def holder_now(folder: Path) -> str:
    """Who holds the folder, or nothing; without taking it. Another host's that shows no life holds nothing."""
    file = folder / "lease"
    if not file.exists():
        return ""
    holder = holder_of(file)
    with open(file, "rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder or "a process that takes it right now"
    process, _, its_job = holder.partition(", job ")
    if process.endswith(f" on {os.uname().nodename}") or (its_job and has_ended(its_job)):
        return ""
    return holder if holder and now(folder) - file.stat().st_mtime < DEAD else ""


def held(folder: Path, holder: str) -> InputError:
    return InputError(f"{folder}: held by another training: {holder}")


def holder_of(file: Path) -> str:
    """Who holds it, or nothing."""
    return file.read_text(encoding="utf-8").strip()


def write(handle, holder: str) -> None:
    """Put a holder in the place of any other, where every host sees it."""
    os.pwrite(handle.fileno(), holder.encode().ljust(WIDTH), 0)
    os.fsync(handle.fileno())


def of_one_machine(folder: Path) -> bool:
    """Whether no other host has this file system; False where it cannot be told."""
    device, mounts = folder.stat().st_dev, Path("/proc/self/mountinfo")
    for line in mounts.read_text(encoding="utf-8").splitlines() if mounts.exists() else ():
        mount, _, system = line.partition(" - ")
        if mount.split()[2] == f"{os.major(device)}:{os.minor(device)}":
            return system.split()[0] in OF_ONE_MACHINE
    return False


def clock() -> float:
    """Seconds that go on while this process is stopped and while its machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))  # macOS has no other


def now(folder: Path) -> float:
    """The present by the clock of the folder's file system."""
    probe = folder / f".now-{os.getpid()}.tmp"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()
