"""Starts Python processes that have their heavy libraries already: forks of this one, which has imported them.

Started once for all of pytest's workers, see tests/forking.py: its standard input is held open by who wants it, its
argument is the file descriptor of the socket it listens on. Nothing of Kalam is imported here: each fork imports that
of the folder it is sent to.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

HEAVY = ("snakemake.cli", "torch", "transformers.models.auto.modeling_auto", "peft", "matplotlib.pyplot")


def listen(listener: socket.socket) -> dict[str, Any]:
    """Serve as long as somebody wants it; returns in the forks only, each time with what was asked for."""
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not gc.get_freeze_count():
            for name in HEAVY:
                import_module(name)
            gc.freeze()  # no fork looks through what was loaded
        with connection:
            if os.fork() == 0:
                listener.close()
                return serve(connection)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    sys.exit()


def serve(connection: socket.socket) -> dict[str, Any]:
    """Fork what is asked for; say who it is and, when it has ended, how. It ends with who asked for it."""
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile(encoding="utf-8") as lines:
        request = json.loads(lines.readline())
    if (child := os.fork()) == 0:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        return request
    for file in files:
        os.close(file)
    connection.sendall(f"{child}\n".encode())
    ended = os.pidfd_open(child)
    if ended not in select.select([connection, ended], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(BrokenPipeError):
        connection.sendall(f"{status}\n".encode())
    os._exit(0)


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


if __name__ == "__main__":
    asked = listen(socket.socket(fileno=int(sys.argv[1])))
    become(asked)
    # Here and in no function, so that it ends as the interpreter ends a program.
    if asked["module"]:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
