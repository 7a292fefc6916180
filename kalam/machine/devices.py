"""GPUs of one machine, each lent to one job at a time.

Snakemake counts the GPUs that its jobs ask for and names none. A job takes as many locks as it asks
for devices, one file each in a folder that a user's jobs on the machine share, and keeps them until
it ends, however it does. In a SLURM job the devices are the job's already.
"""

import fcntl
import logging
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from kalam.files.errors import InputError
from kalam.machine.nodes import job

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
PRETENDED = "KALAM_DEVICES"  # for tests: indices that stand for devices, as "0,1"
PAUSE = 1.0  # seconds between two looks at devices that were all taken
held: list[IO] = []  # open as long as the process lives


def use_devices(count: int) -> None:
    """Leave this process so many devices of this machine, by CUDA_VISIBLE_DEVICES; wait until they are free.

    Raises InputError where there are not so many.
    """
    if not count or job():
        return
    devices = on_this_machine()
    require_devices(count)
    while not (taken := take(count, devices)):
        logger.info("waiting for %d of %d devices", count, len(devices))
        time.sleep(PAUSE)
    os.environ[VISIBLE] = ",".join(taken)
    logger.info("devices: %s", os.environ[VISIBLE])


def take(count: int, devices: list[str]) -> list[str]:
    """So many devices whose locks this process now holds, or none where fewer are free."""
    folder = lock_folder()
    locks = {}
    for device in devices:
        lock = open(folder / device.replace("/", "-"), "a")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        locks[device] = lock
        if len(locks) == count:
            held.extend(locks.values())
            return list(locks)
    for lock in locks.values():
        lock.close()
    return []


def lock_folder() -> Path:
    """Where the devices' locks lie: a folder of this user's on this machine."""
    folder = Path(tempfile.gettempdir()) / f"kalam-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def on_this_machine() -> list[str]:
    """The names of the devices that may be lent: those in CUDA_VISIBLE_DEVICES, else all."""
    for name in (VISIBLE, PRETENDED):
        if os.environ.get(name):
            return [device for device in os.environ[name].split(",") if device.strip()]
    if VISIBLE in os.environ:
        return []
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    except FileNotFoundError:
        return []
    return [str(index) for index, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def require_devices(count: int) -> None:
    """Raise InputError for a request larger than the machine."""
    there = len(on_this_machine())
    if count > there:
        raise InputError(
            f"resources: gpu={count}; this machine has {there} (as CUDA_VISIBLE_DEVICES or nvidia-smi say)"
        )


def torch_device() -> "torch.device":
    """The GPU where this process has one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """The name of this process's GPU, or cpu."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
