"""Trainings on SLURM that wait for what is done to them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import yaml
from pipeline import MINUTES, RESULTS, Project, end
from slurm import Cluster
from waiting import until

HERE = Path(__file__).parent
PROFILE = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1")
MODELS = ("llama", "xglm")
TRAINED = [RESULTS / f"models/{model}/meta.json" for model in MODELS]


def set_resources(project: Project, rule: str, **resources) -> None:
    """As a user does, in the profile."""
    file = project / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(file.read_text(encoding="utf-8"))
    profile["set-resources"].setdefault(rule, {}).update(resources)
    file.write_text(yaml.safe_dump(json.loads(json.dumps(profile)), sort_keys=False), encoding="utf-8")


@contextmanager
def pretraining(project: Project, cluster: Cluster) -> Iterator[SimpleNamespace]:
    """Both models untrained, and `start` to train them; each waits at its second checkpoint."""
    for model in MODELS:
        shutil.rmtree(project / "checkpoints/bangla" / model)
        for file in ("meta.json", "history.jsonl", "config.json", "model.safetensors"):
            (project / RESULTS / "models" / model / file).unlink()
    halted = project / "halted"
    halted.mkdir()
    drivers = []

    def start(*targets: Path | str) -> subprocess.Popen:
        environment = cluster.clients | {"PYTHONPATH": str(HERE / "pace"), "HALT_AT": str(halted)}
        log = f"driver{len(drivers)}.out"
        drivers.append(project.start(*PROFILE, *(targets or TRAINED), log=log, **environment))
        return drivers[-1]

    yield SimpleNamespace(project=project, start=start, halted=halted)
    for driver in drivers:
        end(driver)
    cluster.cancel()


def where(started, model: str) -> SimpleNamespace:
    """Who and where a training is that waits."""
    file = started.halted / model
    until(file.exists, f"{model} at its second checkpoint", 4 * MINUTES)
    return SimpleNamespace(**dict(zip(("pid", "job", "device", "node"), json.loads(file.read_text()), strict=True)))


def go_on(started, *models: str) -> None:
    for model in models:
        (started.halted / f"{model}.go").touch()


def require_same(started, finished, driver: subprocess.Popen, *models: str) -> None:
    """It ended well, with the bytes of an undisturbed run; each training resumed, and nothing else ran."""
    status = driver.wait(6 * MINUTES)
    output = "".join(log.read_text(encoding="utf-8") for log in sorted(started.project.folder.glob("driver*.out")))
    assert status == 0, output
    for model in models:
        log = started.project.log(f"pretrain/{model}.log")
        assert re.search(r"resuming at step \d+\n", log) or "handing it out" in log, log
    paths = [RESULTS / "models" / model for model in models]
    assert [started.project.digests(path) for path in paths] == [finished.digests(path) for path in paths]
    assert set(re.findall(r"^Job \d+: bangla: (\w+)", output, re.MULTILINE)) == {"pretraining"}


def require_loss(project: Project, finished: Project, model: str) -> None:
    """Every loss of its training is that of `llama` in one process, to 1e-5."""
    rows, expected = (p.rows(RESULTS / f"models/{m}/history.jsonl") for p, m in ((project, model), (finished, "llama")))
    assert len(rows) == len(expected) > 16
    for row, other in zip(rows, expected, strict=True):
        key = "validation_loss" if "validation_loss" in row else "loss"
        assert abs(row[key] - other[key]) < 1e-5, (row, other)
