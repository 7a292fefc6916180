"""Waiting for what another process does."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

MINUTE = 60


def until(happened: Callable[[], bool], what: str, seconds: float = MINUTE) -> None:
    """Wait for it; raises TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        with suppress(subprocess.CalledProcessError):
            if happened():
                return
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {seconds:.0f} seconds")
        time.sleep(0.2)
