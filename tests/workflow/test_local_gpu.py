"""GPUs of one machine, pretended: each job has its own, and what is not there is refused before anything runs."""

import shutil

import pytest
from pipeline import RESULTS

PROFILE = ("--workflow-profile", "profiles/local-gpu")


@pytest.mark.parametrize(
    ("devices", "options", "line"),
    [
        ("", [], "resources: gpu=1; this machine has 0"),
        ("0,1", ["--resources", "gpu=3"], "resources: gpu=3; this machine has 2"),
        ("0", ["--set-resources", "pretrain:gpu=2"], "resources: gpu=2; this machine has 1"),
    ],
)
def test_a_request_larger_than_the_machine_is_refused_in_one_line(project, devices, options, line):
    outcome = project.snakemake(*PROFILE, *options, KALAM_DEVICES=devices)
    assert outcome.status == 1
    assert outcome.output.splitlines()[-1].startswith(line)
    assert "Traceback" not in outcome.output
    assert not (project / "results").exists()


@pytest.mark.slow
def test_two_trainings_at_once_have_a_device_each(finished, finished_copy):
    models = ("llama", "xglm")
    for model in models:
        shutil.rmtree(finished_copy / "checkpoints/bangla" / model)
        (finished_copy / RESULTS / f"models/{model}/meta.json").unlink()
    targets = [RESULTS / f"models/{model}/meta.json" for model in models]
    finished_copy.run(*PROFILE, "--resources=gpu=2", *targets, KALAM_DEVICES="0,1")
    logs = [finished_copy.log(f"pretrain/{model}.log") for model in models]
    assert sorted(log.splitlines()[0].split(" ", 1)[1] for log in logs) == ["devices: 0", "devices: 1"]
    assert finished_copy.digests(RESULTS / "models") == finished.digests(RESULTS / "models")
