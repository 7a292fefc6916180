"""The workflow in a folder of its own, small enough for a test to run it whole."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from forking import FORKS, Fork, start_python

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ("Snakefile", "rules", "scripts", "kalam", "config", "profiles", "envs")
RESULTS = Path("results/bangla")
ADAPTER = RESULTS / "runs/adapt/meta.json"
MINUTES = 60

TRAINING = {
    "steps": 16,
    "learning_rate": 3.0e-3,
    "context": 64,
    "batch": 2,
    "micro_batch": 2,
    "evaluate_every": 8,
    "save_every": 4,
    "gradient_checkpointing": False,
}
OWN = {"licence": "CC0-1.0", "author": "Kalam", "retrieved": "2026-01-01"}
SMALL = {
    "language": "bn",
    "datasets": {
        "text": {
            "sources": {
                "site": {
                    "kind": "site",
                    "register": "prose",
                    "start": ["http://bangla.localhost/"],
                    "serve": "resources/bangla/site",
                    "delay": 0,
                    **OWN,
                },
                "everyday": {"kind": "files", "register": "prose", "paths": ["resources/bangla/everyday.jsonl"], **OWN},
                "poems": {
                    "kind": "files",
                    "register": "verse",
                    "paths": ["resources/bangla/poems/*.txt"],
                    "title": "first_line",
                    **OWN,
                },
            },
            "splits": {"validation": 0.12, "test": 0.25},
        }
    },
    "models": {
        "llama": {
            "kind": "scratch",
            "parts": ["prose"],
            "tokenizer": {"vocabulary": 400},
            "architecture": {
                "model_type": "llama",
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 1024,
                "tie_word_embeddings": True,
            },
            "training": TRAINING,
        },
        "xglm": {
            "kind": "scratch",
            "parts": ["prose"],
            "tokenizer": {"vocabulary": 400},
            "architecture": {
                "model_type": "xglm",
                "d_model": 64,
                "ffn_dim": 128,
                "num_layers": 2,
                "attention_heads": 2,
                "max_position_embeddings": 1024,
            },
            "training": TRAINING,
        },
    },
    "evaluation": {"context": 256, "stride": 128, "floor_orders": [2, 3], "resamples": 100, "continuations": 1},
    "candidates": {"parts": ["prose"]},
    "runs": {"adapt": {"task": "causal", "base": "best", "parts": ["verse"], "training": TRAINING}},
}


@dataclass(frozen=True)
class Outcome:
    """How a call of Snakemake ended, and all it said."""

    status: int
    output: str

    @cached_property
    def jobs(self) -> dict[str, int]:
        """How many jobs of each rule it ran, or would run; the target rule `all` is left out."""
        table = re.search(r"^Job stats:\njob +count\n[- ]+\n((?:.+\n)*)", self.output, re.MULTILINE)
        if table is None:
            assert "Nothing to be done" in self.output, self.output
            return {}
        rows = dict(line.split() for line in table[1].splitlines())
        return {rule: int(count) for rule, count in rows.items() if rule not in ("all", "total")}


@dataclass(frozen=True)
class Project:
    """A copy of the workflow, with a small configuration and a part of the texts."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Project":
        folder.mkdir(parents=True)
        for name in WORKFLOW:
            _copy(ROOT / name, folder / name)
        select_texts(ROOT / "resources/bangla", folder / "resources/bangla")
        project = cls(folder)
        project.configure(SMALL)
        return project

    def copy(self, folder: Path) -> "Project":
        """The same with all that it has made, modification times included."""
        _copy(self.folder, folder)
        return Project(folder)

    def forget(self) -> None:
        """Remove all that was made."""
        for made in ("results", "checkpoints", "logs", ".snakemake"):
            shutil.rmtree(self / made, ignore_errors=True)

    def __truediv__(self, path: str | Path) -> Path:
        return self.folder / path

    def configure(self, section: dict[str, Any]) -> None:
        """Write the project's section of the configuration, without anchors, so that its parts change alone."""
        plain = json.loads(json.dumps({"projects": {"bangla": section}}))
        (self / "config/config.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    @contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        """The project's section of the configuration, written back when the block ends."""
        section = yaml.safe_load((self / "config/config.yaml").read_text(encoding="utf-8"))["projects"]["bangla"]
        yield section
        self.configure(section)

    def start(self, *arguments: str | Path, log: str = "snakemake.out", **environment: str) -> subprocess.Popen:
        """Start Snakemake as the leader of a process group of its own; what it says goes to `log`."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)]
        with open(self / log, "w", encoding="utf-8") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=_environment(**environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def fork(self, *arguments: str | Path, log: str, **environment: str) -> Fork | subprocess.Popen:
        """The same without the time to load it, for its jobs too, see forking.py."""
        arguments = ["--cores", "2", *map(str, arguments)]
        environment = _environment(PYTHONPATH=str(FORKS), **environment)
        with open(self / log, "w", encoding="utf-8") as output:
            return start_python(arguments, self.folder, environment, output, "snakemake", session=True)

    def snakemake(self, *arguments: str | Path, timeout: float = 10 * MINUTES, **environment: str) -> Outcome:
        """Run Snakemake to its end: in a fork, but for one whose Python is told to load something."""
        log = f"snakemake.{os.getpid()}.out"  # workers may ask in one folder at once
        start = self.start if "PYTHONPATH" in environment else self.fork
        process = start(*arguments, log=log, **environment)
        try:
            status = process.wait(timeout)
        finally:
            end(process)
        return Outcome(status, (self / log).read_text(encoding="utf-8"))

    def run(self, *arguments: str | Path, **environment: str) -> Outcome:
        """Run Snakemake, which must succeed."""
        outcome = self.snakemake(*arguments, **environment)
        assert outcome.status == 0, outcome.output
        return outcome

    def plan(self, *arguments: str | Path) -> Outcome:
        """What Snakemake would run."""
        return self.run("--dry-run", *arguments)

    def json(self, path: str | Path) -> Any:
        return json.loads((self / path).read_text(encoding="utf-8"))

    def rows(self, path: str | Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self / path).read_text(encoding="utf-8").splitlines()]

    def log(self, path: str) -> str:
        return (self / "logs/bangla" / path).read_text(encoding="utf-8")

    def digest(self, path: str | Path) -> str:
        return sha256((self / path).read_bytes()).hexdigest()

    def digests(self, path: str | Path = "results") -> dict[str, str]:
        """The SHA-256 of every file below a folder, by its path."""
        files = sorted(file for file in (self / path).rglob("*") if file.is_file())
        return {str(file.relative_to(self.folder)): sha256(file.read_bytes()).hexdigest() for file in files}


def files_named(page: str) -> list[str]:
    """The files that a project's page names below its reports."""
    return re.findall(r"^[A-Z][a-z ]+: (\S+\.\w+)$", page, re.MULTILINE)


def _environment(**more: str) -> dict[str, str]:
    """This process's, but for what Python would load; and what it compiles is kept."""
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {k: v for k, v in os.environ.items() if k not in left_out} | {"HF_HUB_OFFLINE": "1"} | more


def end(process: subprocess.Popen | Fork, number: int = signal.SIGKILL) -> None:
    """Send a signal to a whole process group, and wait for its leader."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait()


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copy2(source, target)
    elif source.is_dir():
        shutil.copytree(source, target, symlinks=True)


def select_texts(source: Path, target: Path) -> None:
    """Some 25 poems and as many pages and letters, of whatever is there; two letters each are a group."""
    sections = sorted(index.parent.name for index in (source / "site").glob("*/index.html"))[:3]
    pages = [page for page in (source / "site").rglob("*") if page.is_file()]
    chosen = [page for page in pages if page.parent.name in ("site", "private", *sections)]
    for file in [*sorted((source / "poems").glob("*.txt"))[:25], *chosen]:
        (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target / file.relative_to(source))
    letters = (source / "everyday.jsonl").read_text(encoding="utf-8").splitlines()[:8]
    rows = [json.loads(letter) | {"group": f"pair {number // 2}"} for number, letter in enumerate(letters)]
    (target / "everyday.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The workflow, nothing of it run yet."""
    return Project.make(tmp_path / "project")


def made_once(factory: pytest.TempPathFactory, name: str, run: Callable[[Path], Outcome]) -> Project:
    """What `run` makes in a folder, by the first worker that asks; all of them read it."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    project, report = Project(shared / name), shared / f"{name}.json"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            outcome = run(project.folder)
            report.write_text(json.dumps([outcome.status, outcome.output]))
    status, output = json.loads(report.read_text())
    assert status == 0, output
    return project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The workflow run whole; to be read or copied, never changed."""
    return made_once(tmp_path_factory, "finished", lambda folder: Project.make(folder).snakemake())


@pytest.fixture
def finished_copy(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished workflow, to be changed."""
    return finished.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def llama_cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of llama.cpp's tools: that of a run of the workflow here, else built once for all workers."""
    rules = (ROOT / "rules/export.smk").read_text(encoding="utf-8")
    version = re.search(r'"version": "(.+)"', rules)[1]
    built = Path("results/.tools") / f"llama.cpp-{version}"
    if (ROOT / built / "manifest.json").exists():
        return ROOT / built

    def build(folder: Path) -> Outcome:
        return Project.make(folder).snakemake(built / "manifest.json", timeout=30 * MINUTES)

    return made_once(tmp_path_factory, "llama_cpp", build) / built
