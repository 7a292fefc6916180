"""Devices of one machine, pretended: each is lent to one process at a time."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kalam.files.errors import InputError
from kalam.machine import devices
from kalam.machine.devices import require_devices, use_devices

ROOT = Path(__file__).resolve().parents[2]
WORK = """
import json, os, sys, time
from kalam.machine import devices
devices.PAUSE = 0.05
devices.use_devices(int(sys.argv[1]))
began = time.time()
print("began", flush=True)
time.sleep(float(sys.argv[2]))
print(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"].split(","), began, time.time()]))
"""


@pytest.fixture(autouse=True)
def three(tmp_path, monkeypatch):
    """A machine with three devices, and with a folder of locks of its own."""
    for name in (devices.VISIBLE, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KALAM_DEVICES", "0,1,2")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(devices.tempfile, "tempdir", None)
    monkeypatch.setattr(devices, "held", [])


def start(count: int, seconds: float = 0.3) -> subprocess.Popen:
    command = [sys.executable, "-c", WORK, str(count), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def work(count: int) -> tuple[list[str], float, float]:
    return json.loads(start(count).communicate()[0].splitlines()[-1])


def test_no_two_jobs_on_one_device_and_all_of_them_used():
    asked = [1, 2, 1, 1, 3, 1, 2, 1, 1, 1, 1]
    with ThreadPoolExecutor(len(asked)) as pool:
        done = list(pool.map(work, asked))
    assert [len(names) for names, _, _ in done] == asked
    spans = [(device, began, ended) for names, began, ended in done for device in names]
    for number, (device, began, ended) in enumerate(spans):
        others = [span for span in spans[number + 1 :] if span[0] == device]
        assert all(ended <= start or end <= began for _, start, end in others), device
    assert {device for device, _, _ in spans} == {"0", "1", "2"}


def test_what_is_visible_already_is_chosen_from(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-1f/3")
    use_devices(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    names, _, _ = json.loads(
        subprocess.run(
            [sys.executable, "-c", WORK, "1", "0"],
            cwd=ROOT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "2,GPU-1f/3"},
            capture_output=True,
            text=True,
        ).stdout.splitlines()[-1]
    )
    assert names == ["GPU-1f/3"]


def test_a_job_that_is_killed_gives_its_device_back():
    process = start(3, 60)
    assert process.stdout.readline() == "began\n"
    assert devices.take(1, ["0", "1", "2"]) == []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert devices.take(3, ["0", "1", "2"]) == ["0", "1", "2"]


def test_all_or_nothing():
    first = start(2, 60)
    assert first.stdout.readline() == "began\n"
    assert devices.take(2, ["0", "1", "2"]) == []
    assert devices.take(1, ["0", "1", "2"]) == ["2"]
    first.kill()
    first.wait()


def test_a_rule_that_asks_for_none_is_left_alone(monkeypatch):
    use_devices(0)
    assert devices.VISIBLE not in os.environ


def test_in_a_cluster_the_devices_are_the_jobs_own(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    use_devices(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_more_than_there_are_is_refused_in_one_line():
    require_devices(3)
    with pytest.raises(InputError, match="resources: gpu=4; this machine has 3 "):
        use_devices(4)


def test_a_machine_without_any(monkeypatch):
    monkeypatch.delenv("KALAM_DEVICES")
    monkeypatch.setenv("PATH", "")
    use_devices(0)
    with pytest.raises(InputError, match="gpu=1; this machine has 0"):
        use_devices(1)
