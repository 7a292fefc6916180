"""What tasks of a SLURM job are sent to do: JSON arguments, no model."""

import os
import sys
import time
from pathlib import Path

from kalam.files.logs import log_to
from kalam.machine.launch import START_AGAIN, launch


def leave_name(folder: str) -> None:
    """Each leaves a file with its rank, its place on the node and what it knows of the others."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURMD_NODENAME", "OMP_NUM_THREADS")
    (Path(folder) / os.environ["RANK"]).write_text(" ".join(os.environ[name] for name in names))


def start_again_once(folder: str) -> None:
    """The second asks for a new start, while the first is busy with what will never end."""
    again = Path(folder) / "again"
    if os.environ["RANK"] == "0" and not again.exists():
        time.sleep(300)
    if os.environ["RANK"] == "1" and not again.exists():
        again.touch()
        raise SystemExit(START_AGAIN)
    leave_name(folder)


def fail(folder: str) -> None:
    """The second fails, and the first would go on for ever."""
    if os.environ["RANK"] == "0":
        time.sleep(300)
    raise SystemExit(7)


if __name__ == "__main__":
    errand, folder, tasks = sys.argv[1:]
    import errand as module  # by its name, as the tasks import it

    log_to(f"{folder}/log")
    launch(getattr(module, errand), {"folder": folder}, f"{folder}/log", 1, int(tasks))
