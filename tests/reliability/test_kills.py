"""Killed at any moment, a run ends with the bytes it would have had."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from forking import start_python
from pipeline import MINUTES, RESULTS, TRAINING, Outcome, Project, end
from scripted_server import Answer, scripted

HERE = Path(__file__).parent
LLAMA = RESULTS / "models/llama/meta.json"


def interrupted(project: Project, *targets: str | Path, script: str, at: str, how: str) -> Outcome:
    """Run Snakemake, and interrupt it when `script` is about to rename a file to `at`, or its `at`-th file."""
    environment = {"STOP_SCRIPT": script, "STOP_AT": at, "STOP_HOW": how}
    outcome = project.snakemake(*targets, PYTHONPATH=str(HERE / "interruption"), **environment)
    assert outcome.status != 0, outcome.output
    return outcome


def unlock(project: Project, *targets: str | Path) -> None:
    """Do as Snakemake tells a user whose run was killed."""
    told = project.snakemake(*targets)
    assert told.status == 1
    assert "It can be removed with the --unlock argument" in told.output
    project.run("--unlock")


def without(project: Project, folders: list[str], files: list[str]) -> Project:
    for folder in folders:
        shutil.rmtree(project / folder)
    for file in files:
        (project / file).unlink()
    return project


@pytest.fixture
def unadapted(finished_copy: Project) -> Project:
    """The finished workflow without its last third: the training of the adapter, and what follows."""
    run = f"{RESULTS}/runs/adapt"
    folders = ["checkpoints/bangla/adapt", f"{run}/adapter"]
    made = ("meta.json", "history.jsonl", "curves.svg", "curves.png", "systems/adapted.test.jsonl")
    files = [f"{run}/{file}" for file in (*made, "scores.jsonl", "metrics.tsv", "report.txt")]
    pages = [f"{run}/page.html", *(f"{RESULTS}/{file}" for file in ("ppl.txt", "metrics.tsv"))]
    return without(finished_copy, folders, [*files, *pages])


@pytest.fixture
def unpretrained(finished_copy: Project) -> Project:
    """The finished workflow without a trace of how `llama` was trained."""
    model = f"{RESULTS}/models/llama"
    files = ["meta.json", "history.jsonl", "config.json", "model.safetensors"]
    return without(finished_copy, ["checkpoints/bangla/llama"], [f"{model}/{file}" for file in files])


# --- the whole workflow


def test_a_machine_that_goes_down_while_adapting(finished, unadapted):
    interrupted(unadapted, script="train_run.py", at="step-00000008.json", how="everything")
    unlock(unadapted)
    unadapted.run()
    assert "resuming at step 4\n" in unadapted.log("train_run/adapt.log")
    assert unadapted.digests() == finished.digests()
    assert unadapted.plan().jobs == {}


@pytest.mark.slow
def test_a_machine_that_goes_down_while_pretraining(finished, unpretrained):
    interrupted(unpretrained, LLAMA, script="pretrain.py", at="step-00000012.safetensors", how="everything")
    unlock(unpretrained, LLAMA)
    unpretrained.run(LLAMA)
    assert "resuming at step 8\n" in unpretrained.log("pretrain/llama.log")
    assert unpretrained.digests() == finished.digests()
    assert unpretrained.plan().jobs == {}


@pytest.mark.parametrize("how", ["terminate", pytest.param("interrupt", marks=pytest.mark.slow)])
def test_a_training_that_is_told_to_stop_saves_and_fails(finished, unpretrained, how):
    """By a cluster that takes its machine back, or by Ctrl-C. Success would mean that the model is there."""
    outcome = interrupted(unpretrained, LLAMA, script="pretrain.py", at="step-00000004.json", how=how)
    (step,) = set(re.findall(r"told to stop: saved at step (\d+)", outcome.output))
    assert 0 < int(step) < TRAINING["steps"]
    assert "returned non-zero exit status 143" in outcome.output
    assert not (unpretrained / LLAMA).exists()
    unpretrained.run(LLAMA)
    assert f"resuming at step {step}\n" in unpretrained.log("pretrain/llama.log")
    assert unpretrained.digests() == finished.digests()


@pytest.mark.slow
def test_a_training_that_is_killed_alone(finished, unadapted):
    """As where memory runs out. Snakemake lives and tidies up; there is nothing to unlock."""
    interrupted(unadapted, script="train_run.py", at="step-00000012.safetensors", how="job")
    unadapted.run()
    assert "resuming at step 8\n" in unadapted.log("train_run/adapt.log")
    assert unadapted.digests() == finished.digests()


def test_a_training_left_behind_by_its_snakemake_is_not_doubled(finished, unpretrained):
    stop = {"STOP_SCRIPT": "pretrain.py", "STOP_AT": "step-00000004.json", "STOP_HOW": "driver"}
    first = unpretrained.start(LLAMA, log="first.out", PYTHONPATH=str(HERE / "interruption"), **stop)
    try:
        assert first.wait(5 * MINUTES) == -signal.SIGKILL
        unlock(unpretrained, LLAMA)
        second = unpretrained.snakemake(LLAMA)
        assert second.status == 1
        (line,) = [text for text in second.output.splitlines() if "held by another training: process" in text][:1]
        assert f"on {os.uname().nodename}" in line
        assert "Traceback" not in second.output
        os.killpg(first.pid, signal.SIGCONT)
        with suppress(ProcessLookupError):
            for _ in range(600):  # it finds out at what it writes next, and lets go of the training
                os.killpg(first.pid, 0)
                time.sleep(0.1)
            pytest.fail("the training that was left behind is still there")
    finally:
        end(first)
    assert not (unpretrained / LLAMA).exists()
    unpretrained.run(LLAMA)
    assert "resuming at step" in unpretrained.log("pretrain/llama.log")
    assert unpretrained.digests() == finished.digests()


@pytest.mark.slow
def test_thirty_kills_at_random_moments(finished, finished_copy):
    """Whatever the workflow is at; what has been made is kept, and the end is the same."""
    chance = random.Random(7)
    kills = completed = 0
    finished_copy.forget()
    while kills < 30 or not completed:
        process = finished_copy.start()
        try:
            status = process.wait(chance.uniform(1, 15) if kills < 30 else 10 * MINUTES)
        except subprocess.TimeoutExpired:
            end(process)
            finished_copy.run("--unlock")
            kills += 1
            continue
        assert status == 0, (finished_copy / "snakemake.out").read_text(encoding="utf-8")
        assert finished_copy.digests() == finished.digests()
        finished_copy.forget()
        completed += 1


# --- a training by itself, at every moment


def rehearse(finished: Project, folder: Path, scenarios: list[dict] | int) -> tuple[dict, list[dict]]:
    """What is left of a training without a kill, and of the scenarios, see rehearsal.py."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(finished.folder)}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # what has used a GPU cannot fork
    with open(folder / "said", "w") as said:
        arguments = [str(HERE / "rehearsal.py"), str(finished.folder), str(folder), json.dumps(scenarios)]
        status = start_python(arguments, folder, environment, said).wait(10 * MINUTES)
    said = (folder / "said").read_text(encoding="utf-8")
    assert status == 0, said
    whole, *outcomes = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {"meta.json", "model.safetensors", "history.jsonl"} <= whole["files"].keys()
    assert whole["left"] == ["best.safetensors", "final", "final.json", "history.jsonl", "lease"]
    return whole, outcomes


def killed_at(finished: Project, folder: Path, every: int) -> None:
    whole, outcomes = rehearse(finished, folder, every)
    assert len(outcomes) > 30 / every, whole["changes"]
    for number, outcome in enumerate(outcomes):
        assert outcome["killed"], (number, outcome["logs"])
        assert outcome["finished"] == [False, True], (number, outcome["logs"])
        assert (outcome["files"], outcome["left"]) == (whole["files"], whole["left"]), number
        assert sum(outcome["steps"]) <= TRAINING["steps"] + TRAINING["save_every"], (number, outcome["steps"])


def test_a_training_killed_at_many_moments(finished, tmp_path):
    """Right before a file is flushed, renamed or removed; no more is done again than since the last checkpoint."""
    killed_at(finished, tmp_path, every=5)


@pytest.mark.slow
def test_a_training_killed_at_every_moment(finished, tmp_path):
    killed_at(finished, tmp_path, every=1)


def damaged(finished: Project, folder: Path, *damages: str, space: int | None = None) -> list[dict]:
    """The outcomes of kills while the third checkpoint is written, each followed by a damage to the second; then of
    a training that may write so many bytes to a file."""
    scenarios = [{"at": "step-00000012.safetensors", "damage": damage} for damage in damages]
    scenarios += [{"space": space}] if space else []
    whole, outcomes = rehearse(finished, folder, scenarios)
    for scenario, outcome in zip(scenarios, outcomes, strict=True):
        assert outcome["killed"] == ("damage" in scenario), (scenario, outcome["logs"])
        assert outcome["finished"][1], (scenario, outcome["logs"])
        assert (outcome["files"], outcome["left"]) == (whole["files"], whole["left"]), scenario
    return outcomes


def require_passed_over(outcome: dict) -> None:
    """The checkpoint before it is taken up, and the log says why."""
    assert "passing over a damaged checkpoint" in outcome["logs"][1]
    assert "resuming at step 4\n" in outcome["logs"][1]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_however_it_is_damaged(finished, tmp_path):
    for outcome in damaged(finished, tmp_path, "weights truncated", "weights missing", "state truncated"):
        require_passed_over(outcome)


def test_damage_and_a_full_disk_lose_nothing(finished, tmp_path):
    """The disk is a limit of a file's size; it lets the first evaluation be kept, a checkpoint is three times as
    large."""
    size = (finished / LLAMA.parent / "model.safetensors").stat().st_size
    damages = ["weights with a bit flipped", "weights empty", "history cut", "temporary files left"]
    flipped, empty, cut, left, none, full = damaged(finished, tmp_path, *damages, "every state empty", space=2 * size)
    for outcome in (flipped, empty):
        require_passed_over(outcome)
    for outcome in (cut, left):
        assert "resuming at step 8\n" in outcome["logs"][1]
    assert none["logs"][1].count("passing over a damaged checkpoint") == 2
    assert none["steps"][1] == TRAINING["steps"]
    assert full["finished"] == [False, True]
    assert "File too large" in full["logs"][0]
    assert full["steps"] == [TRAINING["save_every"], TRAINING["steps"]]


# --- collecting

PAGES = 8
PARAGRAPH = "নদীর ওপারে ছোট গ্রাম, সেখানে সন্ধ্যা নামলে ঘরে ঘরে প্রদীপ জ্বলে আর শাঁখ বাজে।"


@pytest.fixture
def site():
    """A site of pages in a row, each with a link to the next."""

    def page(number: int) -> Answer:
        link = f'<a href="/{number + 1}">পরের পাতা</a>' if number + 1 < PAGES else ""
        return Answer(
            f"<html><body><p>{number}। {PARAGRAPH * 3}</p>{link}</body></html>", type="text/html; charset=utf-8"
        )

    with scripted({"/": page(0)} | {f"/{number}": page(number) for number in range(PAGES)}) as server:
        yield server


def test_a_crawl_that_is_killed_asks_for_no_page_twice(project, site):
    address = f"http://127.0.0.1:{site.address[1]}/"

    def requests() -> Counter[str]:
        return Counter(path for path, _ in site.requests)

    with project.changed() as section:
        section["datasets"]["text"]["sources"]["site"] = {
            "kind": "site",
            "register": "prose",
            "start": [address],
            "private_addresses": True,
            "delay": 0,
            "extraction": "text",
        }
    collected = RESULTS / "data/text/sources/site.jsonl"
    interrupted(project, collected, script="collect.py", at="13", how="everything")
    assert requests()["/4"] == 1 and not requests()["/6"]
    unlock(project, collected)
    project.run(collected)

    in_flight = {"/robots.txt": 2, "/5": 2}  # a new process asks again what it may do, and for the page it had not kept
    pages = {f"/{number or ''}": 1 for number in range(PAGES)}
    assert requests() == pages | in_flight
    assert [row["url"] for row in project.rows(collected)] == [f"{address}{number or ''}" for number in range(PAGES)]
