"""The processes of a training in the SLURM job that it runs in, on however many nodes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kalam.machine.meeting import HERE, SECRET, Door, come_through, local_store

JOB = "SLURM_JOB_ID"
STATUS = "status"  # in the store: what the first process that failed ended with


def job() -> str | None:
    """The SLURM job that this process runs in, if any."""
    return os.environ.get(JOB)


def has_ended(job: str) -> bool:
    """Whether SLURM says that a job is over; False where it cannot be asked."""
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True, timeout=60
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return "Invalid job id" in asked.stderr or (asked.returncode == 0 and not asked.stdout.strip())


def on_the_nodes(command: list[str], processes: int, threads: int) -> int:
    """Run Python in so many processes of this job, in a step beside this one; the status of the first that failed.

    The store where they meet is held here, so no port is guessed and no node is special. It takes part in nothing
    but what processes of this job say, see `kalam.machine.meeting`.
    """
    store, count = local_store(), nodes()
    step = [
        *("srun", "--overlap", f"--jobid={job()}", f"--ntasks={processes}", f"--cpus-per-task={threads}"),
        *(f"--nodes={count}", "--kill-on-bad-exit=1", "--wait=0"),
    ]
    if gpus := os.environ.get("SLURM_GPUS_ON_NODE"):
        step.append(f"--gres=gpu:{gpus}")  # each sees those of its node; with --gpu-bind=none, those of others too
    # What this step was given says nothing about the new one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SRUN_"))}
    environment |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    if count == 1:
        environment |= {"MASTER_ADDR": HERE, "MASTER_PORT": str(store.port)}
    else:
        environment |= {SECRET: Door(store.port).told}
    environment |= {"SLURM_CONF": os.environ["SLURM_CONF"]} if "SLURM_CONF" in os.environ else {}
    with subprocess.Popen([*step, sys.executable, *command], env=environment) as srun:
        before = signal.signal(signal.SIGTERM, lambda number, _: srun.send_signal(number))
        status = srun.wait()
        signal.signal(signal.SIGTERM, before)
    return int(store.get(STATUS)) if status and store.check([STATUS]) else status


def nodes() -> int:
    """How many nodes this job has; the environment knows those of this step only."""
    shown = ["scontrol", "show", "job", str(job())]
    return int(
        re.search(r"\bNumNodes=(\d+)", subprocess.run(shown, capture_output=True, text=True, check=True).stdout)[1]
    )


@contextmanager
def as_a_process() -> Iterator[None]:
    """Be one of the processes of `on_the_nodes`, by the names torch has for that; elsewhere do nothing."""
    if "RANK" in os.environ or "SLURM_PROCID" not in os.environ:
        yield
        return
    names = {"RANK": "PROCID", "LOCAL_RANK": "LOCALID", "WORLD_SIZE": "NTASKS"}
    os.environ |= {name: os.environ[f"SLURM_{slurms}"] for name, slurms in names.items()}
    if SECRET in os.environ:
        port = come_through(os.environ["SLURM_LAUNCH_NODE_IPADDR"])
        os.environ |= {"MASTER_ADDR": HERE, "MASTER_PORT": str(port)}
    try:
        yield
    except BaseException as error:
        tell(error.code if isinstance(error, SystemExit) else 1)
        raise


def tell(status: int) -> None:
    """Let the launcher know what this process ends with, where no other has failed before."""
    from torch.distributed import TCPStore

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    store.compare_set(STATUS, "", str(status))
