"""Run the workflow in a folder of its own and read what came out: the ground of the other benchmarks."""

import csv
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("Snakefile", "rules", "scripts", "kalam", "config", "resources", "profiles", "envs")


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


def write_result(name: str, result: dict) -> None:
    path = ROOT / "benchmarks" / f"{name}.json"
    path.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(path.read_text())
