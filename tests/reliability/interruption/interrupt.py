"""Interruptions of a process, at a moment that is the same each time."""

import os
import signal
from collections.abc import Callable
from pathlib import Path


def everything() -> None:
    """As where the machine goes down: Snakemake and all its jobs."""
    os.killpg(0, signal.SIGKILL)


def job() -> None:
    """As where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    """As where a cluster takes a machine back."""
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt() -> None:
    """As Ctrl-C."""
    os.killpg(0, signal.SIGINT)


def driver() -> None:
    """As where a connection drops: Snakemake goes, the job stays; it halts until it is told to go on."""
    os.kill(os.getpgid(0), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGSTOP)


WAYS = {way.__name__: way for way in (everything, job, terminate, interrupt, driver)}


def install(
    stop: Callable[[], None], at: str, below: str = "checkpoints", calls: tuple[str, ...] = ("replace",)
) -> Callable[[], int]:
    """Call `stop` once, right before the process changes a file below a folder.

    `calls` names the functions of `os` that count as a change, `at` the change: its number, or the
    name of the file that a rename makes. Returns a function that says how many changes there were.
    """
    changes = 0
    stopped = False

    def watched(call: str) -> Callable:
        original = getattr(os, call)

        def change(*arguments, **options):
            nonlocal changes, stopped
            changes += call == "fsync" or below in str(arguments)
            if not stopped and at in (str(changes), Path(str(arguments[-1])).name):
                stopped = True
                stop()
            return original(*arguments, **options)

        return change

    for call in calls:
        setattr(os, call, watched(call))
    return lambda: changes
