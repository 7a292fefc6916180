"""Starts Python processes that have their heavy libraries already: forks of this one, which has imported them.

Started once for all of pytest's workers, see tests/forking.py: its standard input is held open by who wants it, its
argument is the file descriptor of the socket it listens on. Nothing of Kalam is imported here: each fork imports that
of the folder it is sent to.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

HEAVY = (
    *("snakemake.cli", "snakemake.report", "smart_open", "jsonschema"),
    *("torch", "transformers.models.auto.modeling_auto", "peft", "matplotlib.pyplot"),
)


class Running(NamedTuple):
    """A fork that somebody waits for."""

    child: int
    ended: int  # readable when it has
    connection: socket.socket  # readable when nobody waits any more


def listen(listener: socket.socket) -> dict[str, Any]:
    """Fork what is asked for, as long as somebody wants it; returns in the forks only, with what was asked for."""
    running: dict[Any, Running] = {}
    while sys.stdin not in (ready := select.select([listener, sys.stdin, *running], [], [])[0]):
        for fork in {running[one] for one in ready if one is not listener}:
            del running[fork.ended], running[fork.connection]
            leave(fork)
        if listener in ready:
            connection, _ = listener.accept()
            load()
            try:
                request, files = receive(connection)
            except ValueError:  # who asked is gone already
                connection.close()
                continue
            if (child := os.fork()) == 0:
                for one in (listener, connection, *(fork.connection for fork in running.values())):
                    one.close()
                take(files)
                return request
            for file in files:
                os.close(file)
            with suppress(ConnectionError):
                connection.sendall(f"{child}\n".encode())
            fork = Running(child, os.pidfd_open(child), connection)
            running |= {fork.ended: fork, fork.connection: fork}
    sys.exit()


def load() -> None:
    if not gc.get_freeze_count():
        for name in HEAVY:
            import_module(name)
        gc.freeze()  # no fork looks through what was loaded


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What is asked for, and the files it shall have as its first."""
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile(encoding="utf-8") as lines:
        return json.loads(lines.readline()), files


def take(files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)


def leave(fork: Running) -> None:
    """Say how a fork has ended to who asked for it; it ends with that one."""
    if not select.select([fork.ended], [], [], 0)[0]:
        os.kill(fork.child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(fork.child, 0)[1])
    with suppress(ConnectionError), fork.connection:
        fork.connection.sendall(f"{status}\n".encode())
    os.close(fork.ended)


def become(request: dict[str, Any]) -> None:
    """Have what a process of its own has: a session or not, folder, environment, paths, arguments."""
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    follow_threads()
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:1] = [request["path"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = request["arguments"]


def follow_threads() -> None:
    """Torch is told how many threads it may use when it is imported, which it is already."""
    import torch

    put = os.putenv

    def putenv(name: bytes, value: bytes) -> None:
        put(name, value)
        if name == b"OMP_NUM_THREADS":
            torch.set_num_threads(int(value))

    os.putenv = putenv


def end(status: int) -> None:
    """End as the interpreter does, but for taking apart all that was loaded: that is half a second's work."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    asked = listen(socket.socket(fileno=int(sys.argv[1])))
    become(asked)
    # Here and in no function, so that what it raises ends it as the interpreter ends a program.
    try:
        if asked["module"]:
            runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as exit:
        if isinstance(exit.code, int | None):
            end(exit.code or 0)
        raise
    end(0)
