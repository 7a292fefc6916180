"""Processes that have Snakemake and torch from their first moment: forks of one that has loaded them.

Most tests of the workflow start many, and loading is most of what these do. What a fork cannot show is left to real
processes: `Project.start`, whatever is killed, and one of the two runs that have to make the same bytes. So is all of
it on a machine with a GPU, which a fork cannot use, and where processes have no file descriptors (not Linux).
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

ADDRESS = "KALAM_TEST_FORKS"
FORKS = Path(__file__).resolve().parent / "forks"


def serve_forks() -> Callable[[], None]:
    """Start the server; gives what ends it. It loads nothing before it is first asked."""
    if Path("/dev/nvidiactl").exists() or not hasattr(os, "pidfd_open"):
        return lambda: None
    folder = tempfile.TemporaryDirectory(prefix="forks")
    os.environ[ADDRESS] = f"{folder.name}/socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.environ[ADDRESS])
        listener.listen()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [sys.executable, FORKS / "server.py", str(listener.fileno())]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=[listener.fileno()])

    def end() -> None:
        server.communicate()
        folder.cleanup()

    return end


def start_python(
    arguments: list[str], folder: Path, environment: dict[str, str], output: IO, module: str = "", session: bool = False
) -> "Fork | subprocess.Popen":
    """Run a module, or the script that is the first of the arguments, in a folder; what it says goes to `output`."""
    if ADDRESS in os.environ:
        path = folder if module else Path(arguments[0]).parent
        return Fork([module, *arguments] if module else arguments, folder, environment, path, module, session, output)
    command = [sys.executable, *(["-m", module] if module else []), *arguments]
    told = {"cwd": folder, "env": environment, "stdout": output, "stderr": output}
    return subprocess.Popen(command, start_new_session=session, **told)


class Fork:
    """A Python process, a fork of the server's; `path` stands first in its `sys.path`."""

    def __init__(
        self,
        arguments: list[str],
        folder: str | Path,
        environment: dict[str, str],
        path: str | Path,
        module: str = "",
        session: bool = False,
        output: IO | None = None,
    ):
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(os.environ[ADDRESS])
        socket.send_fds(self.connection, [b"!"], [0, *([output.fileno()] * 2 if output else [1, 2])])
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        request |= {"path": str(path), "module": module, "session": session}
        self.connection.sendall(f"{json.dumps(request)}\n".encode())
        self.said = self.connection.makefile("rb", buffering=0)  # what is left of it, select sees
        self.pid = int(self.said.readline())
        self.status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, as Popen's; raises TimeoutExpired."""
        if self.status is None:
            if not select.select([self.connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a fork", timeout)
            self.status = int(self.said.readline())
            self.said.close()
            self.connection.close()
        return self.status

    def stand_in(self) -> None:
        """Be for whoever started this process what the fork is: pass signals on, end as it ends."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(self.pid, number))
        status = self.wait()
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        os._exit(status)
