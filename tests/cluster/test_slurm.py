"""The workflow on a real SLURM: placed rightly, and the same bytes whatever happens to its jobs."""

import os
import re
import shutil
import signal

import pytest
import yaml
from page import told
from pipeline import MINUTES, RESULTS, Project, end
from trainings import HERE, MODELS, PROFILE, TRAINED, go_on, require_same, set_resources, where
from waiting import until

pytestmark = pytest.mark.slow

ON_GPU = {"pretrain", "train_run", "score_model", "score_run", "continuations"}
HERE_ONLY = {"collect", "choose", "choose_base", "ppl"}


# --- a whole run


def test_the_whole_dag(project, finished, cluster):
    """From nothing: the same figures as on one machine, every rule where it belongs, and made once."""
    before = len(cluster.jobs("--states=all"))
    outcome = project.run(*PROFILE, **cluster.clients)
    assert (project / RESULTS / "metrics.tsv").read_bytes() == (finished / RESULTS / "metrics.tsv").read_bytes()
    assert project.digests() == finished.digests()

    rows = cluster.jobs("--states=all", "--sort=-i", columns="%k %P %T")
    rows = rows[: len(rows) - before]
    assert {state for *_, state in rows} == {"COMPLETED"}
    partitions = {re.sub("^rule_|_wildcards_.*", "", name): partition for name, partition, _ in rows}
    assert {name for name, partition in partitions.items() if partition == "gpu"} == ON_GPU
    assert {name for name, partition in partitions.items() if partition == "cpu"} >= {"clean", "tokenise_model"}
    assert not HERE_ONLY & partitions.keys()
    (together,) = [name for name in partitions if name.startswith("corpus_")]  # the name of the group
    assert all(rule in together for rule in ("merge", "split", "floors"))

    assert "best validation loss" in project.log("pretrain/llama.log")
    assert "logs/slurm/rule_pretrain/bangla_llama" in outcome.output
    assert "Nothing to be done" in project.run(*PROFILE, **cluster.clients).output


def test_shards_that_are_ready_at_once_are_one_array(finished_copy, finished, cluster):
    shutil.rmtree(finished_copy / RESULTS / "data/text/clean")
    cleaned = [RESULTS / f"data/text/clean/{source}.jsonl" for source in ("site", "everyday", "poems")]
    outcome = finished_copy.run(*PROFILE, *cleaned, **cluster.clients)
    assert "Submitted array job" in outcome.output and "The individual task IDs are 1-3" in outcome.output
    assert finished_copy.digests() == finished.digests()


def test_a_job_that_is_killed_for_its_memory_is_given_more(finished_copy, finished, cluster):
    """By SLURM, which counts it; what each attempt may take is the profile's. And mail tells of both."""
    (_, extra), *_ = yaml.safe_load(told("slurm_extra:")).items()
    set_resources(finished_copy, "clean", slurm_extra=extra)
    cleaned = RESULTS / "data/text/clean/everyday.jsonl"
    (finished_copy / cleaned).unlink()
    before = len(cluster.jobs("--states=all"))
    hungry = {"PYTHONPATH": str(HERE / "hunger"), "HUNGER": "2500"}
    finished_copy.run(*PROFILE, cleaned, **cluster.clients, **hungry)
    rows = cluster.jobs("--states=all", "--sort=i", columns="%i %k %m %T")[before:]
    name = "rule_clean_wildcards_bangla_text_everyday"
    assert [row[1:] for row in rows] == [[name, "2000M", "FAILED"], [name, "4000M", "COMPLETED"]]
    mails = (cluster.folder / "mails").read_text().splitlines()
    for (job, *_), said in zip(rows, ("Failed", "Ended"), strict=True):
        (mail,) = [mail for mail in mails if f"Job_id={job} " in mail]
        assert f" {said}, " in mail and mail.endswith(" you@example.org")
    (log,) = (finished_copy / "logs/slurm/rule_clean/bangla_text_everyday").glob("*.log")  # of the one that failed
    assert "exceeded memory limit" in log.read_text(encoding="utf-8")
    assert finished_copy.digests() == finished.digests()


def test_where_accounting_is_on(accounted, finished, tmp_path):
    """The status comes from squeue there too."""
    project = Project.make(tmp_path / "project")
    splits = [RESULTS / f"data/text/{split}.jsonl" for split in ("train", "validation", "test")]
    project.run(*PROFILE, *splits, **accounted.clients)
    assert [project.digest(split) for split in splits] == [finished.digest(split) for split in splits]
    assert "COMPLETED" in accounted.command("sacct", "--noheader", "--allocations", "--format=State")


# --- what happens to a training


def test_cancelled_and_killed(started, finished, cluster):
    """And two GPU jobs at once are on two devices."""
    driver = started.start()
    llama, xglm = (where(started, model) for model in MODELS)
    assert (llama.node, llama.device) != (xglm.node, xglm.device)
    assert None not in (llama.device, xglm.device)
    os.kill(xglm.pid, signal.SIGKILL)
    cluster.command("scancel", llama.job)
    require_same(started, finished, driver, *MODELS)
    assert "resuming at step 9\n" in started.project.log("pretrain/llama.log")  # it was told, and saved
    assert "resuming at step 8\n" in started.project.log("pretrain/xglm.log")


def requeue(cluster, job: str) -> None:
    """And without the two minutes that SLURM waits before it starts such a job."""
    cluster.command("scontrol", "requeue", job)
    until(lambda: cluster.jobs(f"--jobs={job}", columns="%T") == [["PENDING"]], "the requeued job", MINUTES)
    cluster.command("scontrol", "update", f"jobid={job}", "starttime=now")


def test_requeued_and_drained(started, finished, cluster):
    """One is put back into the queue; the other's node is taken out, so it goes on elsewhere."""
    driver = started.start()
    llama, xglm = (where(started, model) for model in MODELS)
    try:
        cluster.command("scontrol", "update", f"nodename={xglm.node}", "state=drain", "reason=test")
        for job in (llama.job, xglm.job):
            requeue(cluster, job)
        require_same(started, finished, driver, *MODELS)
    finally:
        cluster.command("scontrol", "update", f"nodename={xglm.node}", "state=resume")
    rows = cluster.jobs("--states=all", f"--jobs={llama.job},{xglm.job}", columns="%N %T")
    assert all(node != xglm.node and state == "COMPLETED" for node, state in rows), rows


def test_out_of_time(started, finished):
    """SLURM says so before the end; the training saves, and the next attempt goes on from there."""
    set_resources(started.project, "pretrain", runtime=3, slurm_extra="'--signal=TERM@90'")
    driver = started.start(TRAINED[0])
    require_same(started, finished, driver, "llama")
    first, *_ = sorted((started.project / "logs/slurm/rule_pretrain/bangla_llama").glob("*.log"))
    assert "told to stop: saved at step 9," in first.read_text(encoding="utf-8")


def test_a_second_driver_starts_no_second_trainer(started, finished, cluster):
    """The first one is killed, its job goes on; the second one's job is refused, and then handed the result."""
    first = started.start(TRAINED[0])
    llama = where(started, "llama")
    end(first, signal.SIGKILL)
    started.project.run("--unlock")
    second = started.start(TRAINED[0])
    refused = f"held by another training: process {llama.pid} on "
    logs = started.project / "logs/slurm/rule_pretrain/bangla_llama"  # a job's log stays while it fails
    until(
        lambda: any(refused in log.read_text(encoding="utf-8") for log in logs.glob("*.log")),
        "the refusal",
        4 * MINUTES,
    )
    go_on(started, "llama")
    until(lambda: llama.job not in [row[0] for row in cluster.jobs()], "the first job's end", 2 * MINUTES)
    require_same(started, finished, second, "llama")
