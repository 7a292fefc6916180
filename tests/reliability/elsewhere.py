"""A trainer on a host of its own, which halts at places a test can act on.

python elsewhere.py PROJECT FOLDER SIGNS [HALT]

Makes the model `llama` of PROJECT, a finished workflow, in FOLDER. HALT is `meet` (halt between reading
who holds the folder and taking it), or the number of a step after whose evaluation or row it halts, or that
number and `!`, then it is frozen. It says so by a file SIGNS/<host>, and goes on when SIGNS/<host>.go is there.
"""

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from rehearsal import train

from kalam.machine import lease as leases
from kalam.training.checkpoints import CheckpointFolder

project, folder, signs, halt = (*sys.argv[1:], "")[:4]
if name := os.environ.get("KALAM_TEST_HOST"):  # no real one
    os.uname = lambda: SimpleNamespace(nodename=name)
    fcntl.flock = lambda *_: None
    leases.of_one_machine = lambda _: False
sign = Path(signs) / os.uname().nodename
leases.BEAT, leases.DEAD, leases.SETTLED = 0.5, 5.0, 3.0


def wait() -> None:
    sign.touch()
    while not sign.with_suffix(".go").exists():
        time.sleep(0.05)


def freeze() -> None:
    """When it wakes, the thread that renews the lease is late: what was about to happen comes first."""
    read = Path.read_text

    def late(*arguments, **options):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(1)
        return read(*arguments, **options)

    Path.read_text = late
    sign.touch()
    os.kill(os.getpid(), signal.SIGSTOP)


if halt == "meet":
    await_end = leases.await_end

    def meet(*arguments):
        taken = await_end(*arguments)
        wait()
        return taken

    leases.await_end = meet
elif halt:
    append = CheckpointFolder.append_history

    def acting(self, row):
        if row["step"] == int(halt.rstrip("!")) and not sign.exists():
            (freeze if halt.endswith("!") else wait)()
        append(self, row)

    CheckpointFolder.append_history = acting

logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
try:
    train(Path(project), Path(folder))
except Exception as error:
    sys.exit(f"error: {error}")
