"""A training in several tasks of a SLURM job, on one node and on two."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline import ROOT
from trainings import MODELS, go_on, require_loss, set_resources, where

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


@pytest.fixture
def send(cluster, tmp_path):
    """Send two tasks on an errand from a step of a job, as Snakemake's job step does: its status, and its folder."""

    def go(errand: str, *options: str) -> tuple[int, Path]:
        step = f"srun -n1 --nodes=1 {sys.executable} {HERE}/errand.py {errand} {tmp_path} 2"
        command = ["sbatch", "--wait", "--mem=1000", f"--output={tmp_path}/out", *options, f"--wrap={step}"]
        environment = cluster.environment | {"PYTHONPATH": f"{ROOT}:{HERE}"}
        return subprocess.run(command, env=environment, capture_output=True, timeout=120).returncode, tmp_path

    return go


@pytest.mark.parametrize(("nodes", "places"), [(1, "cpu1 cpu1"), (2, "gpu1 gpu2")])
def test_tasks_know_their_places(send, nodes, places):
    status, folder = send("leave_name", f"--nodes={nodes}", "--ntasks=2", f"--partition={places[:3]}")
    assert status == 0, (folder / "out").read_text()
    first, second = ((folder / rank).read_text().split() for rank in "01")
    assert [first[3], second[3]] == places.split()
    assert [first[0], second[0], first[2], second[2]] == ["0", "1", "2", "2"]
    assert [first[1], second[1]] == (["0", "1"] if nodes == 1 else ["0", "0"])


def test_a_task_that_asks_for_a_new_start_gets_one(send):
    status, folder = send("start_again_once", "--nodes=2", "--ntasks=2", "--partition=gpu")
    assert status == 0, (folder / "out").read_text()
    assert {path.name for path in folder.iterdir()} >= {"0", "1", "again"}
    assert "starting the 2 processes again" in (folder / "log").read_text()


def test_the_status_is_that_of_the_task_that_failed(send):
    status, folder = send("fail", "--nodes=2", "--ntasks=2", "--partition=gpu")
    assert status == 7, (folder / "out").read_text()


def test_two_tasks_train_what_one_would(started, finished, cluster):
    """Copies of a model on two nodes, its parts on one; the first one is cancelled in the middle, and resumes."""
    with started.project.changed() as section:
        section["models"]["xglm"] = section["models"]["llama"] | {
            "training": section["models"]["llama"]["training"] | {"parallel": "fsdp"}
        }
    set_resources(started.project, "pretrain", tasks=2, nodes=2, gpu=0, gres="gpu:1")
    driver = started.start()
    llama, _ = (where(started, model) for model in MODELS)
    cluster.command("scancel", llama.job)
    go_on(started, "xglm")
    assert driver.wait(400) == 0, (started.project / "driver0.out").read_text()
    for model in MODELS:
        require_loss(started.project, finished, model)
        assert re.search(r"2 processes, the model in", started.project.log(f"pretrain/{model}.log"))
    assert "resuming at step 9\n" in started.project.log("pretrain/llama.log")
