"""A training in one process or in several: on this machine, or on the nodes of a SLURM job."""

import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from kalam.files.logs import log_to
from kalam.machine.meeting import HERE, local_rendezvous
from kalam.machine.nodes import as_a_process, job, on_the_nodes
from kalam.machine.threads import use_threads

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # of prctl(2)
START_AGAIN = 75  # what a process ends with that only a new start helps
MOST_STARTS = 16  # each halves the micro-batch
LOCAL = "local"  # the name of our rendezvous among torch's
GRACE = 600  # seconds to save in, after SIGTERM


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", 0)) == 0


def launch(train: Callable[..., None], arguments: dict[str, Any], log: str, threads: int, processes: int = 1) -> None:
    """Call `train`, a function of a module of this package, in so many processes at once.

    They run on the nodes of the SLURM job this is, else on this machine. `arguments` are JSON.
    Raises SystemExit with the status of the process that failed.
    """
    threads = threads if job() else max(1, threads // processes)  # SLURM gives each process that many
    use_threads(threads)
    if processes == 1:
        train(**arguments)
        return
    call = {"module": train.__module__, "function": train.__name__, "arguments": arguments, "log": log}
    command = ["-m", __name__, json.dumps(call)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    start = partial(on_the_nodes, threads=threads) if job() else on_this_machine
    for _ in range(MOST_STARTS):
        if (status := start(command, processes)) != START_AGAIN:
            break
        logger.info("starting the %d processes again", processes)
    if status:
        raise SystemExit(status if status > 0 else 128 - status)


def on_this_machine(command: list[str], processes: int) -> int:
    """Run Python in so many processes here, by torch's elastic agent; the exit status."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import rendezvous_handler_registry
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    rendezvous_handler_registry.register(LOCAL, local_rendezvous)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # where they speak to each other then
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(os.getpid()),
        rdzv_backend=LOCAL,
        local_addr=HERE,
        max_restarts=0,
        shutdown_timeout=GRACE,
    )
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        # Where several failed, those that say why come before those that lost the others.
        statuses = {failure.exitcode for failure in error.failures.values()}
        return START_AGAIN if START_AGAIN in statuses else error.get_first_failure()[1].exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0


def take_part(call: dict[str, Any]) -> None:
    """What each of several processes does: its part of `call`, as `launch` wrote it."""
    end_with_the_launcher()
    with as_a_process(), parting():
        log_to(call["log"], "a", logging.INFO if is_main() else logging.WARNING)
        getattr(import_module(call["module"]), call["function"])(**call["arguments"])


def end_with_the_launcher() -> None:
    """Have this process told to stop when the one that started it is gone, by SIGKILL even; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def parting() -> Iterator[None]:
    """Have this process part from the others in order when it ends.

    The interpreter aborts now and then where a thread of gloo's outlives it
    (https://github.com/pytorch/pytorch/issues/190489). Parting never waits with gloo; with NCCL it
    may, so there only those part that come to their end, as all of them do.
    """
    from torch import distributed

    try:
        yield
    except BaseException:
        if distributed.is_initialized() and distributed.get_backend() == "gloo":
            distributed.destroy_process_group()
        raise
    if distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    take_part(json.loads(sys.argv[1]))
