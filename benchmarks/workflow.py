"""Run the workflow in a folder of its own and read what came out: the ground of the other benchmarks.

python -m benchmarks.workflow [REVISION]

By itself it measures what planning costs: the processor seconds of `snakemake -n all`, for 20 projects and for one
project with 400, 800 and 2,000 sources, the least of some rounds; beside it that of `snakemake --version`, which starts
and does nothing. What a plan keeps for the next (docs/how-it-works.md), the second round finds. With a revision of this
repository, that one plans in turns with what stands here; a plan that takes more than LIMIT processor seconds is
stopped.
"""

import copy
import csv
import io
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("Snakefile", "rules", "scripts", "kalam", "config", "resources", "profiles", "envs")
SQUARES = {"20 projects": (20, 2), "400 sources": (1, 400), "800 sources": (1, 800), "2000 sources": (1, 2000)}
ROUNDS, LIMIT = 2, 60


def copy_workflow(folder: Path) -> Path:
    """A copy of the workflow, without results, in an empty folder."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    return folder


def snakemake(folder: Path, *arguments: str, **environment: str) -> float:
    """Run Snakemake there; returns the seconds it took. Raises CalledProcessError with its output shown."""
    started = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    with open(folder / "snakemake.log", "a") as log:
        done = subprocess.run(command, cwd=folder, env=os.environ | environment, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stderr.write((folder / "snakemake.log").read_text()[-4000:])
        done.check_returncode()
    return time.monotonic() - started


def metrics(folder: Path, project: str) -> list[dict[str, str]]:
    """The rows of the project's metrics.tsv."""
    with open(folder / "results" / project / "metrics.tsv", encoding="utf-8") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def figures(folder: Path, project: str, metric: str = "bits_per_byte") -> dict[str, dict[str, float]]:
    """A metric on the test split by system and register, and its paired differences."""
    found: dict[str, dict[str, float]] = {}
    for row in metrics(folder, project):
        if row["metric"].startswith(metric) and row["split"] == "test":
            minus = row["metric"].removeprefix(metric).replace("_minus_", " - ")
            name = f"{row['run']}: {row['role']} {row['system']}{minus}"
            found.setdefault(name, {})[row["part"]] = round(float(row["value"]), 4)
    return found


def machine() -> dict[str, object]:
    """What this ran on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"processor": names[0].split(":")[1].strip() if names else platform.machine(), "cores": os.cpu_count()}


def peak_memory_gb() -> float:
    """The largest resident size of a process this one waited for, in GB."""
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, 2)


def peak_memory_mb() -> int:
    """The largest resident size of this program; `ru_maxrss` would count what its parent had before it began."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1000


def write_result(name: str, result: dict) -> None:
    path = ROOT / "benchmarks" / f"{name}.json"
    path.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(path.read_text())


def checked_out(revision: str, folder: Path) -> Path:
    """The workflow as it is in a revision of this repository, in an empty folder."""
    done = subprocess.run(["git", "archive", revision, *PARTS], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def projects(count: int, sources: int) -> dict[str, object]:
    """The embedded Bangla project so many times, each with so many sources of files."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    project = config["projects"]["bangla"]
    given = project["datasets"]["text"]["sources"]
    for source in given.values():
        source.pop("title", None)  # unknown to older revisions, and nothing to a plan
    others = {f"source{number:04}": given["everyday"] for number in range(sources - 1)}
    project["datasets"]["text"]["sources"] = {"poems": given["poems"], **others}
    return {"projects": {f"project{number:02}": copy.deepcopy(project) for number in range(count)}}


def processor_seconds(folder: Path, *arguments: str) -> float | None:
    """What Snakemake and the processes it starts there take of the processors; None where that is more than LIMIT."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT)),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode < 0:
        return None
    done.check_returncode()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plans(revision: str | None) -> dict[str, dict[str, object]]:
    """The processor seconds of every plan in every round, by square and workflow."""
    found: dict[str, dict[str, list]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {"now": copy_workflow(Path(temporary, "now"))}
        if revision is not None:
            folders = {revision: checked_out(revision, Path(temporary, "then")), **folders}
        for _ in range(ROUNDS):
            started = found.setdefault("snakemake --version", {}).setdefault("now", [])
            started.append(processor_seconds(folders["now"], "--version"))
            for name, (count, sources) in SQUARES.items():
                file = Path(temporary, "config.yaml")
                file.write_text(yaml.safe_dump(projects(count, sources), sort_keys=False), encoding="utf-8")
                for workflow, folder in folders.items():
                    rounds = found.setdefault(name, {}).setdefault(workflow, [])
                    if None not in rounds:  # once is enough
                        rounds.append(processor_seconds(folder, "-n", "all", "--configfile", str(file)))
    return {name: {workflow: summary(some) for workflow, some in each.items()} for name, each in found.items()}


def summary(rounds: list[float | None]) -> dict[str, object]:
    """The least of some processor seconds, and all of them."""
    if None in rounds:
        return {"processor_seconds": f"more than {LIMIT}"}
    return {"processor_seconds": round(min(rounds), 1), "rounds": [round(value, 1) for value in rounds]}


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    told = {"machine": machine(), "load_average": [round(load, 1) for load in os.getloadavg()]}
    write_result("workflow", {**told, "plans": plans(*(sys.argv[1:] or [None]))})
