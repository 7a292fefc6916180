"""Two trainers on two hosts that share a folder, and no lock.

A host is a process with a name and a view of the file systems of its own. It reaches the folder through a file
system in user space, over which locks do not pass from one host to another, as over some of a cluster's.
Where a machine has no such thing, the trainer is told another name and that locks do nothing.
"""

import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from pipeline import MINUTES, RESULTS, ROOT
from waiting import until

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
KEPT = {"best.safetensors", "final", "final.json", "history.jsonl"}  # of a training that has finished
NAMED = ("unshare", "--user", "--map-root-user", "--uts", "--mount", "--pid", "--fork", "--kill-child")
SET_UP = 'hostname "$0" && bindfs --no-allow-other "$SERVED" "$SHARED" && "$@"; exit $?'
LOCK = """
import fcntl, sys
with open(sys.argv[1], "a") as handle:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked", flush=True)
    sys.stdin.read()
"""


class Host:
    """Starts processes under one name; each sees the folder `served` as `shared`."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder, self.real = name, folder, True
        self.processes: list[subprocess.Popen] = []

    def start(self, *command: str | Path, log: str = "log", **options) -> subprocess.Popen:
        paths = {"SERVED": str(self.folder / "served"), "SHARED": str(self.folder / "shared")}
        environment = os.environ | paths | {"PYTHONPATH": f"{ROOT}:{HERE}", "CUDA_VISIBLE_DEVICES": ""}
        started = [*NAMED, "sh", "-c", SET_UP, self.name, *map(str, command)]
        if not self.real:
            environment, started = environment | {"KALAM_TEST_HOST": self.name}, [*map(str, command)]
        with open(self.folder / f"{self.name}.{log}", "w") as output:
            self.processes.append(
                subprocess.Popen(
                    started, env=environment, start_new_session=True, **({"stdout": output, "stderr": output} | options)
                )
            )
        return self.processes[-1]

    def said(self, log: str = "log") -> str:
        return (self.folder / f"{self.name}.{log}").read_text(encoding="utf-8")

    def end(self) -> None:
        """As where the machine goes down: the processes, and the file system with them."""
        for process in self.processes:
            process.kill()
            process.wait()


def lock(*hosts: Host) -> bool:
    """Whether each of them gets a lock on the same file, at once: so what is tested here is not the lock."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    holders = [host.start(sys.executable, "-c", LOCK, host.folder / "shared/file", **pipes) for host in hosts]
    locked = [holder.stdout.readline() for holder in holders] == ["locked\n"] * len(hosts)
    for host in hosts:
        host.end()
    return locked and (hosts[0].folder / "served/file").exists()


@pytest.fixture
def hosts(tmp_path):
    """The hosts a and b."""
    for name in ("served", "shared", "signs"):
        (tmp_path / name).mkdir()
    pair = Host("a", tmp_path), Host("b", tmp_path)
    if not shutil.which("unshare") or pair[0].start("true").wait(MINUTES) or not lock(*pair):
        warnings.warn("hosts by their names only (Debian: apt-get install bindfs; it wants /dev/fuse)", stacklevel=1)
        (tmp_path / "shared").rmdir()
        (tmp_path / "shared").symlink_to("served")
        for host in pair:
            host.real = False
    yield pair
    for host in pair:
        host.end()


@pytest.fixture
def train(hosts, finished) -> Callable:
    """Start a trainer on a host."""

    def start(host: Host, halt: str = "", log: str = "log") -> subprocess.Popen:
        folders = (finished.folder, host.folder / "shared", host.folder / "signs")
        return host.start(sys.executable, HERE / "elsewhere.py", *folders, halt, log=log)

    return start


def halted(host: Host) -> bool:
    return (host.folder / "signs" / host.name).exists()


def go_on(host: Host) -> None:
    (host.folder / "signs" / f"{host.name}.go").touch()


def require_same(finished, host: Host) -> None:
    """What was made is what an undisturbed training makes."""
    made = host.folder / "served/results"
    digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in made.iterdir()}
    assert {"meta.json", "model.safetensors", "history.jsonl"} <= digests.keys()
    expected = finished / RESULTS / "models/llama"
    assert digests == {name: sha256((expected / name).read_bytes()).hexdigest() for name in digests}
    (trained,) = (host.folder / "served/checkpoints").glob("*/")
    assert {path.name for path in trained.iterdir()} == KEPT | {"lease"}
    assert (trained / "lease").read_bytes() == b""


def test_another_host_is_refused_and_takes_over_from_a_dead_one(hosts, train, finished):
    a, b = hosts
    first = train(a, halt="9")
    until(lambda: halted(a), "the first trainer's ninth step", 2 * MINUTES)
    assert train(b, log="refused").wait(2 * MINUTES) == 1
    *_, refusal = b.said("refused").splitlines()
    assert "held by another training: process " in refusal and refusal.endswith(" on a")
    assert "waiting for a sign of life of process" in b.said("refused")
    assert first.poll() is None
    a.end()
    assert train(b).wait(4 * MINUTES) == 0, b.said()
    assert "on a, which shows no life" in b.said() and "resuming at step 8\n" in b.said()
    require_same(finished, b)


def test_of_two_that_start_at_once_one_trains(hosts, train, finished):
    """Each has found the folder free before the other took it."""
    trainers = [train(host, halt="meet") for host in hosts]
    until(lambda: all(map(halted, hosts)), "both trainers", 2 * MINUTES)
    for host in hosts:
        go_on(host)
    statuses = [trainer.wait(4 * MINUTES) for trainer in trainers]
    assert sorted(statuses) == [0, 1], [host.said() for host in hosts]
    winner, loser = (hosts[statuses.index(status)] for status in (0, 1))
    *_, refusal = loser.said().splitlines()
    assert "held by another training: process " in refusal and refusal.endswith(f" on {winner.name}")
    assert "micro-batch" not in loser.said() and "best validation loss" in winner.said()
    require_same(finished, winner)


def test_a_trainer_that_was_frozen_ends_itself_and_harms_nothing(hosts, train, finished):
    """It is frozen right before it writes, another takes over and is in the middle when it wakes."""
    a, b = hosts
    first = train(a, halt="10!")
    until(lambda: halted(a), "the first trainer's tenth step", 2 * MINUTES)
    second = train(b, halt="12")
    until(lambda: halted(b), "the second trainer's twelfth step", 2 * MINUTES)
    assert "on a, which shows no life" in b.said() and "resuming at step 8\n" in b.said()
    with suppress(ProcessLookupError):
        os.killpg(first.pid, signal.SIGCONT)
    assert first.wait(2 * MINUTES) == 1
    assert "lost to another training: process " in a.said() and a.said().strip().endswith(" on b")
    go_on(b)
    assert second.wait(4 * MINUTES) == 0, b.said()
    require_same(finished, b)
