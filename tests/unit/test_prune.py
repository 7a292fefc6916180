"""What is removed of the trainings: what no result uses and no trainer holds, and only when asked."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kalam.files.errors import InputError
from kalam.files.jsonl import read_json
from kalam.training.checkpoints import CheckpointFolder
from kalam.training.prune import DAY, main, remove, trainings
from kalam.training.runs import train_once

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from kalam.machine.lease import lease
with lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def outside_of_jobs(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.fixture
def train(tmp_path):
    """Make a training of the run `adapt`, whole or not, and hand it out; its folder."""

    def run(code: str, whole: bool = True, results: str = "results/bangla/runs/adapt") -> Path:
        folder = []

        def make(store: CheckpointFolder):
            folder.append(store.folder)
            (store.folder / "step-00000002.safetensors").write_bytes(b"w" * 1_000_000)
            if not whole:
                raise Killed
            return lambda target: (target / "weights").write_bytes(b"w" * 2_000_000), {}

        with suppress(Killed):
            train_once(tmp_path / "checkpoints/bangla/adapt", tmp_path / results, {"code": code}, make, "fp32")
        return folder[0]

    return run


def prune(tmp_path: Path, *arguments: str) -> None:
    main([str(tmp_path / "checkpoints"), "--results", str(tmp_path / "results"), *arguments])


def age(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - days * DAY,) * 2)


def test_what_a_result_uses_stays_and_what_none_uses_goes_when_asked(train, tmp_path, capsys):
    old, new = train("1"), train("2")
    prune(tmp_path)
    lines = {line.split("\t")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines[str(old)].endswith("2.0 MB\tfinished, not used, to be removed")
    assert lines[str(new)].endswith("2.0 MB\tfinished, used")
    assert "2.0 MB to be freed by --delete" in lines
    assert old.exists()
    prune(tmp_path, "--delete", "--unfinished", "0")
    assert not old.exists() and (new / "final/weights").exists()
    assert read_json(tmp_path / "results/bangla/runs/adapt/meta.json")["fingerprint"] == new.name
    prune(tmp_path, "--delete", "--unfinished", "0")
    assert new.exists()


def test_what_did_not_finish_goes_only_when_it_is_old(train, tmp_path, capsys):
    young, old = train("1", whole=False), train("2", whole=False)
    train("3")
    age(young, 6)
    age(old, 8)
    prune(tmp_path, "--delete")
    assert young.exists() and old.exists()
    assert "unfinished, not used\n" in capsys.readouterr().out
    prune(tmp_path, "--delete", "--unfinished", "7")
    assert young.exists() and not old.exists()


def test_what_another_process_holds_stays(train, tmp_path, capsys):
    folder = train("1")
    train("2")
    age(folder, 100)
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        prune(tmp_path, "--delete", "--unfinished", "0")
        assert f"held by process {holder.pid} on {os.uname().nodename}, not used\n" in capsys.readouterr().out
        (training,) = [some for some in trainings(tmp_path / "checkpoints", tmp_path / "results") if some.holder]
        with pytest.raises(InputError, match=f"held by another training: process {holder.pid}"):
            remove(training)
        assert (folder / "final/weights").exists()
        holder.kill()
    prune(tmp_path, "--delete")
    assert not folder.exists()


@pytest.mark.parametrize(("seconds", "stays"), [(5, True), (1000, False)])
def test_what_another_host_holds_stays_as_long_as_it_shows_life(train, tmp_path, seconds, stays):
    folder = train("1")
    train("2")
    (folder / "lease").write_text("process 3 on elsewhere")
    os.utime(folder / "lease", (time.time() - seconds,) * 2)
    prune(tmp_path, "--delete")
    assert folder.exists() == stays


def test_results_behind_a_link_count(train, tmp_path):
    folder = train("1")
    (tmp_path / "results/bangla").rename(tmp_path / "elsewhere")
    (tmp_path / "results/bangla").symlink_to(tmp_path / "elsewhere")
    prune(tmp_path, "--delete")
    assert folder.exists()


def test_without_results_nothing_is_removed(train, tmp_path):
    folder = train("1")
    (tmp_path / "results").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"--results: found .*results; allowed is the folder of the results"):
        prune(tmp_path, "--delete")
    assert folder.exists()


def test_what_is_no_training_is_left_alone(train, tmp_path):
    train("1")
    (tmp_path / "results/bangla/runs/adapt/meta.json").write_text(json.dumps({"fingerprint": "f" * 16}))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "weights").write_text("mine")
    (tmp_path / "checkpoints/bangla/linked").mkdir()
    (tmp_path / "checkpoints/bangla/linked/0123456789abcdef").symlink_to(elsewhere)
    for name in ("checkpoints/bangla/adapt/memory.json", "checkpoints/bangla/adapt/notes/mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    prune(tmp_path, "--delete", "--unfinished", "0")
    assert sorted(path.name for path in (tmp_path / "checkpoints/bangla/adapt").iterdir()) == ["memory.json", "notes"]
    assert (elsewhere / "weights").read_text() == "mine"


def test_results_that_say_nothing_of_trainings_remove_none(train, tmp_path):
    train("1")
    (tmp_path / "results/bangla/runs/adapt/meta.json").unlink()
    before = sorted(tmp_path.rglob("*"))
    for wrong, message in (((), "in which nothing was trained"), (("--unfinished", "-5"), "found -5; allowed are 0")):
        with pytest.raises(InputError, match=message):
            prune(tmp_path, "--delete", *wrong)
    (tmp_path / "results/meta.json").write_text("[]")
    with pytest.raises(InputError, match=r"meta\.json: found list; allowed is a JSON object"):
        prune(tmp_path, "--delete")
    (tmp_path / "results/meta.json").unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_it_is_a_command(train, tmp_path):
    train("1")
    command = [sys.executable, "-m", "kalam.training.prune"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("checkpoints/bangla/adapt/") and done.stderr == ""
    done = subprocess.run(
        [*command, "--results", "nowhere"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.splitlines()[0][:26]) == (1, "error: --results: found no")
