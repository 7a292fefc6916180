"""One trainer at a time: what is decided at once, what after a wait, and for whom."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kalam.files.errors import InputError
from kalam.machine import lease as leases
from kalam.machine.lease import lease

HERE = os.uname().nodename
HOLD = """
import sys, time
from pathlib import Path
from kalam.machine import lease as leases
leases.BEAT = 0.1
with leases.lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Minutes become parts of a second; no SLURM is asked."""
    for name, seconds in {"BEAT": 0.1, "DEAD": 2.0, "SETTLED": 0.1}.items():
        monkeypatch.setattr(leases, name, seconds)
    monkeypatch.setattr(leases, "has_ended", lambda job: False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def left(folder: Path, holder: str, seconds: float) -> Path:
    """A lease as another left it so long ago."""
    file = folder / "lease"
    file.write_text(holder)
    os.utime(file, (time.time() - seconds,) * 2)
    return file


@pytest.fixture
def holder(tmp_path):
    """Another process of this host that holds the folder."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_it_names_process_host_and_job(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with lease(tmp_path):
        assert leases.holder_of(tmp_path / "lease") == f"process {os.getpid()} on {HERE}, job 17"
    assert (tmp_path / "lease").read_text() == ""


def test_on_this_host_the_lock_decides_at_once(tmp_path, holder):
    with pytest.raises(InputError, match=f"held by another training: process {holder.pid} on {HERE}"), lease(tmp_path):
        pass
    holder.kill()
    holder.wait()
    started = time.monotonic()
    with lease(tmp_path):
        assert time.monotonic() - started < leases.DEAD


def test_it_is_renewed_while_it_is_held(tmp_path):
    with lease(tmp_path):
        file = left(tmp_path, (tmp_path / "lease").read_text(), 1000)
        time.sleep(0.5)
        assert time.time() - file.stat().st_mtime < 1


def test_another_host_that_lives_keeps_it(tmp_path):
    file = left(tmp_path, "process 3 on elsewhere, job 9", 1)
    renewal = threading.Timer(0.3, os.utime, [file])
    renewal.start()
    with pytest.raises(InputError, match="held by another training: process 3 on elsewhere, job 9"), lease(tmp_path):
        pass


@pytest.mark.parametrize("seconds", [0.5, 1000])
def test_another_host_that_shows_no_life_loses_it(tmp_path, seconds, caplog):
    left(tmp_path, "process 3 on elsewhere", seconds)
    started = time.monotonic()
    with lease(tmp_path):
        waited = time.monotonic() - started
    assert (waited > 1) == (seconds < leases.DEAD)
    assert "taking over from process 3 on elsewhere, which shows no life" in caplog.text


def test_a_clock_that_is_wrong_does_not_matter(tmp_path, monkeypatch):
    file = left(tmp_path, "process 3 on elsewhere", 1)
    monkeypatch.setattr(leases.time, "time", lambda: 0.0)
    assert leases.now(tmp_path) - file.stat().st_mtime == pytest.approx(1, abs=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["lease"]


def test_a_job_that_ended_elsewhere_is_not_waited_for(tmp_path, monkeypatch, caplog):
    left(tmp_path, "process 3 on elsewhere, job 9", 0)
    monkeypatch.setattr(leases, "has_ended", lambda job: job == "9")
    with lease(tmp_path):
        assert "taking over" in caplog.text and "waiting" not in caplog.text


def test_a_requeued_job_finds_its_own(tmp_path, monkeypatch, caplog):
    left(tmp_path, "process 3 on elsewhere, job 9", 0)
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    with lease(tmp_path):
        assert not caplog.text


def test_who_lost_it_writes_nothing_more(tmp_path, holder):
    """As a host that was cut off for minutes, while another took over."""
    left(tmp_path, "process 3 on elsewhere", 0)
    assert holder.wait(10) == 1
    assert (tmp_path / "lease").read_text() == "process 3 on elsewhere"


@pytest.mark.parametrize("before", ["process 3 on elsewhere", ""])
def test_of_two_who_take_it_at_once_one_goes_on(tmp_path, monkeypatch, before):
    """From one that is dead, or from nobody, on a file system that others may have."""
    left(tmp_path, before, 1000)
    other = threading.Timer(0.05, (tmp_path / "lease").write_text, ["process 4 on third"])
    other.start()
    monkeypatch.setattr(leases, "SETTLED", 0.5)
    monkeypatch.setattr(leases, "of_one_machine", lambda folder: False)
    with pytest.raises(InputError, match="process 4 on third"), lease(tmp_path):
        pass
    assert (tmp_path / "lease").read_text() == "process 4 on third"


def test_where_a_lock_is_enough():
    assert leases.of_one_machine(Path("/dev/shm"))
    assert not leases.of_one_machine(Path("/proc"))


def test_a_short_name_replaces_a_long_one(tmp_path):
    left(tmp_path, f"process 1234567 on {'long' * 16}", 1000)
    with lease(tmp_path):
        assert leases.holder_of(tmp_path / "lease") == f"process {os.getpid()} on {HERE}"


def test_a_holder_that_was_silent_looks_before_it_writes(tmp_path, monkeypatch):
    ended = []
    monkeypatch.setattr(leases.os, "_exit", ended.append)
    monkeypatch.setattr(leases, "BEAT", 1000)
    with lease(tmp_path) as require:
        file = left(tmp_path, (tmp_path / "lease").read_text(), 1000)
        require()
        assert time.time() - file.stat().st_mtime > 900  # renewed a moment ago, as far as it knows
        monkeypatch.setattr(leases, "clock", lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + 2001)
        require()
        assert time.time() - file.stat().st_mtime < 900 and not ended
        left(tmp_path, "process 3 on elsewhere", 0)
        monkeypatch.setattr(leases, "clock", lambda: time.clock_gettime(time.CLOCK_BOOTTIME) + 5000)
        require()
        assert ended == [1]
    assert (tmp_path / "lease").read_text() == "process 3 on elsewhere"
