"""What docs/cluster.md says, done as it says it."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from page import TRIED, lines, told
from pipeline import MINUTES, ROOT, end
from trainings import MODELS, TRAINED, go_on, require_loss, require_same, set_resources, where
from waiting import until

# One job here, one there; and no wait for the first look at it.
SHORT = "results/bangla/data/text/clean/{}.jsonl --slurm-init-seconds-before-status-checks 1"


def test_every_line_to_be_typed_was_tried():
    assert [line for line in lines() if not line.startswith(TRIED)] == []
    assert [beginning for beginning in TRIED if not any(line.startswith(beginning) for line in lines())] == []


# --- from a login to the jobs


@pytest.fixture
def shell(cluster, tmp_path) -> Callable[..., str]:
    """Does what a user types on the login node, in a shell without an environment of Python; gives what it says."""
    here = str(Path(sys.executable).parent)
    path = ":".join(folder for folder in cluster.environment["PATH"].split(":") if folder != here)
    environment = {k: v for k, v in cluster.environment.items() if k != "VIRTUAL_ENV"} | {"PATH": path}

    def type_in(*commands: str, folder: Path = tmp_path) -> str:
        typed = ["bash", "--norc", "-ec", "\n".join(commands)]
        done = subprocess.run(
            typed, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    type_in.environment = environment
    return type_in


def at_a_terminal(command: str, environment: dict[str, str], keys: bytes = b"") -> str:
    """Run a command that wants a terminal, typing these keys whenever it is silent; what it showed until it ended."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe("bash", ["bash", "--norc", "-c", command], environment | {"TERM": "xterm"})
    shown, end = b"", time.monotonic() + MINUTES
    try:
        while time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096)
            else:
                os.write(terminal, keys)
        os.kill(process, signal.SIGKILL)
    except OSError:  # how a terminal says that nobody is there
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, shown
    return shown.decode(errors="replace")


@pytest.mark.slow
def test_from_a_login_to_running_jobs(shell, cluster, tmp_path):
    """In a fresh clone, whose environment is the one that is ready."""
    for program in ("git", "tmux"):
        if not shutil.which(program):
            pytest.skip(f"no {program}")
    assert told("make setup setup-slurm")
    ready = f"ln -s {sys.prefix} .venv"
    clone = told("git clone", str(ROOT))
    shell(clone, told("cd kalam"), ready, told(". .venv/bin/activate"), "snakemake --version")
    kalam = tmp_path / "kalam"

    keys = ("account", "cpu_partition", "gpu_partition", "hours")
    site = yaml.safe_load((kalam / "profiles/slurm/site.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load("\n".join(told(f"{key}:") for key in keys)) == site
    partitions = shell(told("sinfo -s"))
    assert re.search(rf"^{site['cpu_partition']}\*? +up +1-00:00:00 ", partitions, re.MULTILINE)
    assert re.search(rf"^{site['gpu_partition']} +up +1-00:00:00 ", partitions, re.MULTILINE)

    # Only shown: it would change the environment that is ready.
    on_a_node = told("srun --partition=", site["gpu_partition"]).replace("make", "make -C kalam --dry-run")
    assert "envs/setup.sh" in at_a_terminal(f"cd {tmp_path} && {on_a_node}", shell.environment)

    snakemake = told("snakemake --workflow-profile profiles/slurm results/")
    activate = told(". .venv/bin/activate")
    target = snakemake.split()[-1]
    assert "This was a dry-run" in shell(activate, f"{snakemake} --dry-run", folder=kalam)
    tmux = f"tmux -L {tmp_path.name} -f /dev/null"  # a server of its own, and a shell that reads no one's settings
    try:
        shell(told("tmux new").replace("tmux new", f"{tmux} new -d") + " 'bash --norc'", folder=kalam)
        for line in (activate, snakemake.replace(target, SHORT.format("poems"))):
            shell(f"{tmux} send-keys -t kalam '{line}' Enter")
        attach = told("tmux attach").replace("tmux", tmux)
        jobs = told("squeue --me --format")
        until(lambda: "rule_clean" in shell(jobs), "the job", 4 * MINUTES)
        assert "detached (from session kalam)" in at_a_terminal(attach, shell.environment, b"\x02d")
        until(lambda: "(100%) done" in shell(f"{tmux} capture-pane -p -S - -t kalam"), "Snakemake's end", 4 * MINUTES)
    finally:
        subprocess.run([*tmux.split(), "kill-server"], capture_output=True)
    in_a_job = told("sbatch --partition=cpu").replace("sbatch", "sbatch --wait")
    shell(activate, in_a_job.replace(target, SHORT.format("everyday")), folder=kalam)
    for source in ("poems", "everyday"):
        assert (kalam / f"results/bangla/data/text/clean/{source}.jsonl").exists()
        assert (kalam / f"logs/bangla/clean/text.{source}.log").exists()
    assert list((kalam / ".snakemake/log").glob("*.log"))
    assert not list((kalam / "logs/slurm").rglob("*.log"))


# --- after a failure


@pytest.mark.slow
def test_after_a_failure(started, finished, cluster, shell):
    """What would run too long, a driver that died, Ctrl-C, a bad node: each time the same command again."""
    project = started.project.folder
    environment = f"PATH={Path(sys.executable).parent}:$PATH"
    site = project / "profiles/slurm/site.yaml"
    hours = site.read_text(encoding="utf-8")
    site.write_text(hours.replace("hours: 24", "hours: 48"), encoding="utf-8")
    too_long = started.start(TRAINED[0], "--verbose")
    until(lambda: "PartitionTimeLimit" in shell(told("squeue --me --start")), "why nothing runs", 2 * MINUTES)
    # In the midst of asking for the states of its jobs the plugin knows of none to be cancelled.
    until(lambda: "Status query timing (cycle)" in said(project, 0), "the first look at the job", 2 * MINUTES)
    interrupt(too_long)
    until(lambda: not cluster.jobs(), "the job's end", 2 * MINUTES)

    site.write_text(hours, encoding="utf-8")
    dead = started.start(TRAINED[0])
    llama = where(started, "llama")
    end(dead, signal.SIGKILL)
    shell(environment, told("snakemake --workflow-profile profiles/slurm --unlock"), folder=project)
    assert llama.job in shell("squeue --me")
    shell(told("scancel --name=", run_id(project, 1)))
    until(lambda: not cluster.jobs(), "the job's end", 2 * MINUTES)

    stopped = started.start()
    xglm = where(started, "xglm")
    interrupt(stopped)
    shell("squeue --me", told("scancel --name=", run_id(project, 2)))
    until(lambda: not cluster.jobs(), "the jobs' end", 2 * MINUTES)
    last = started.start(*TRAINED, told("--slurm-exclude-failed-nodes", xglm.node))
    require_same(started, finished, last, *MODELS)
    nodes = dict(cluster.jobs("--states=completed", "--sort=i", columns="%k %N"))  # of each rule, the last one
    assert nodes["rule_pretrain_wildcards_bangla_xglm"] == ({"gpu1", "gpu2"} - {xglm.node}).pop()


def interrupt(driver: subprocess.Popen) -> None:
    """Ctrl-C; the plugin first sleeps till its next look at the jobs."""
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait(4 * MINUTES) == 1


def said(project: Path, number: int) -> str:
    return (project / f"driver{number}.out").read_text(encoding="utf-8")


def run_id(project: Path, number: int) -> str:
    return re.search(r"SLURM run ID: (\S+)", said(project, number))[1]


# --- more than one GPU for one training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "here", "nodes", "tasks", "gpus"),
    [
        ("pretrain: {gpu: 2", {}, 1, 2, "TresPerJob=gres:gpu:2"),
        ("pretrain: {gpu: 0", {"gres": "gpu:2", "tasks": 4}, 2, 4, "TresPerNode=gres:gpu:2"),  # a node has two
    ],
    ids=["one node", "two nodes"],
)
def test_more_than_one_gpu(started, finished, cluster, line, here, nodes, tasks, gpus):
    (rule, resources), *_ = yaml.safe_load(told(line)).items()
    set_resources(started.project, rule, **resources | here)
    driver = started.start(TRAINED[0])
    llama = where(started, "llama")
    job = cluster.command("scontrol", "show", "job", llama.job)
    assert f"NumNodes={nodes} NumCPUs={tasks} NumTasks={tasks} " in job and gpus in job, job
    assert llama.device == "0,1"  # each task sees those of its node
    go_on(started, "llama")
    assert driver.wait(6 * MINUTES) == 0, (started.project / "driver0.out").read_text()
    require_loss(started.project, finished, "llama")
    assert f"{tasks} processes, the model in" in started.project.log("pretrain/llama.log")
