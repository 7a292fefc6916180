"""The workflow on a real SLURM: placed rightly, and the same bytes whatever happens to its jobs."""

import os
import re
import signal
from types import SimpleNamespace

import pytest
from pipeline import MINUTES, RESULTS, Project, end
from slurm import until
from trainings import MODELS, PROFILE, TRAINED, go_on, require_same, set_resources, where

pytestmark = pytest.mark.slow

ON_GPU = {"pretrain", "train_run", "score_model", "score_run", "continuations"}
HERE_ONLY = {"collect", "choose", "choose_base", "ppl"}


# --- a whole run


@pytest.fixture(scope="session")
def through(finished, cluster, tmp_path_factory):
    """The embedded Bangla DAG, from nothing, through SLURM: the project, Snakemake's words, the jobs."""
    project = Project.make(tmp_path_factory.mktemp("through") / "project")
    outcome = project.run(*PROFILE, **cluster.clients)
    rows = cluster.jobs("--states=all", columns="%k %P %T")
    jobs = {re.sub("^(rule|group)_|_wildcards_.*", "", name): (partition, state) for name, partition, state in rows}
    return SimpleNamespace(project=project, outcome=outcome, jobs=jobs)


def test_the_same_figures_as_on_one_machine(through, finished):
    assert (through.project / RESULTS / "metrics.tsv").read_bytes() == (finished / RESULTS / "metrics.tsv").read_bytes()
    assert through.project.digests() == finished.digests()


def test_every_rule_where_it_belongs(through):
    partitions = {name: partition for name, (partition, _) in through.jobs.items()}
    assert {name for name, partition in partitions.items() if partition == "gpu"} == ON_GPU
    assert {name for name, partition in partitions.items() if partition == "cpu"} >= {"clean", "tokenise_model"}
    assert not HERE_ONLY & partitions.keys()
    assert {state for _, state in through.jobs.values()} == {"COMPLETED"}


def test_short_steps_share_a_job(through):
    (group,) = [name for name in through.jobs if "merge" in name]
    assert "split" in group and "floors" in group


def test_logs_are_where_the_user_looks(through):
    assert "best validation loss" in through.project.log("pretrain/llama.log")
    assert "logs/slurm/rule_pretrain/bangla_llama" in through.outcome.output


def test_a_second_call_does_nothing(through, cluster):
    assert "Nothing to be done" in through.project.run(*PROFILE, **cluster.clients).output


def test_where_accounting_is_on(accounted, finished, tmp_path):
    """The status comes from squeue there too."""
    project = Project.make(tmp_path / "project")
    splits = [RESULTS / f"splits/{split}.jsonl" for split in ("train", "validation", "test")]
    project.run(*PROFILE, *splits, **accounted.clients)
    assert project.digests(RESULTS / "splits") == finished.digests(RESULTS / "splits")
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
