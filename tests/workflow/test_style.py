"""What formatters and linters say of the repository."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline import ROOT, Project

# Against the house: an input function that one file uses stands in that file.
NOT_HEEDED = "Mixed rules and functions in same snakefile."


def require_silence(program: Path, *arguments: str) -> None:
    if not program.exists():
        pytest.skip(f"no {program.name} (make setup-test)")
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_python_is_as_ruff_wants_it(command):
    require_silence(Path(sys.prefix, "bin/ruff"), *command.split(), ".")


def test_rule_files_are_as_snakefmt_wants_them():
    require_silence(Path(sys.prefix, "snakefmt/bin/snakefmt"), "--check", "Snakefile", "rules")


def test_snakemake_s_linter_objects_to_nothing_else(project: Project):
    outcome = project.snakemake("--lint")
    assert "Lints for snakefile" in outcome.output, outcome.output
    assert set(re.findall(r"^    \* (.+):$", outcome.output, re.MULTILINE)) == {NOT_HEEDED}, outcome.output
