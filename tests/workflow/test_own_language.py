"""docs/own-language.md, done as it stands, and what a row of the table runs again."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pipeline import ROOT, WORKFLOW, Project
from test_incremental import AFTER_MERGE

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TREE = (*WORKFLOW, "tests", "resources", "Makefile", "pyproject.toml", "constraints.txt")
MADE = ("ready", "ready-test")
DATA = "results/nepali/data/text"


@pytest.fixture
def tree(tmp_path: Path) -> Project:
    """What a user has after `make setup`."""
    folder = tmp_path / "kalam"
    folder.mkdir()
    for name in (*TREE, *(path.name for path in ROOT.glob("requirements*.txt"))):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name not in MADE:
            (folder / ".venv" / path.name).symlink_to(path)
    for name in MADE:  # newer than what they are made from, so `make` makes no environment
        (folder / ".venv" / name).touch()
    return Project(folder)


def type_in(tree: Project, commands: str) -> str:
    """What a shell says in which the environment is active; it must end well."""
    shell = ["bash", "--norc", "-ec", f'PATH="$PWD/.venv/bin:$PATH"\n{commands}']
    done = subprocess.run(shell, cwd=tree.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_the_page_as_it_stands(tree):
    (kind, row), *blocks = BLOCK.findall((ROOT / "docs/own-language.md").read_text(encoding="utf-8"))
    before = yaml.safe_load((tree / "config/languages.yaml").read_text(encoding="utf-8"))
    assert kind == "yaml" and not yaml.safe_load(row).keys() & before.keys()
    with open(tree / "config/languages.yaml", "a", encoding="utf-8") as table:
        table.write(row)
    assert {kind for kind, _ in blocks} == {"sh"}
    tests, new, texts, split, run = (commands for _, commands in blocks)

    assert re.search(r"^\d{3} passed", type_in(tree, f"{tests.rstrip()} tests/unit/test_schema.py"), re.MULTILINE)
    assert "config/nepali.yaml is written" in type_in(tree, new)
    assert type_in(tree, texts) == ""
    said = type_in(tree, split)
    assert "(100%) done" in said and "target" in said
    kept = [row["text"] for name in ("train", "validation", "test") for row in tree.rows(f"{DATA}/{name}.jsonl")]
    written = [row["text"] for row in [*tree.rows("data/nepali/target/stories.jsonl")]]
    assert len(kept) == 16 and {*written} < {*kept}
    assert sum(text.count("गर्\u200dयो") for text in kept) == 2
    jobs = type_in(tree, run)
    assert "This was a dry-run" in jobs
    assert {"pretrain", "train_run", "evaluate_causal", "ppl"} <= {*re.findall(r"^(\w+) +\d+$", jobs, re.MULTILINE)}


def test_a_row_runs_again_what_depends_on_it_and_nothing_else(finished_copy):
    table = finished_copy / "config/languages.yaml"

    def change(code: str, **columns) -> None:
        rows = yaml.safe_load(table.read_text(encoding="utf-8"))
        rows[code] = rows.get(code, rows["bn"]) | columns
        table.write_text(yaml.safe_dump(rows, allow_unicode=True, sort_keys=False), encoding="utf-8")

    change("ne", name="Nepali")  # one more
    change("ta", ranges=["0B80-0BFF"], normalise={}, optional_marks=["0B82-0B82"], direction="rtl")
    change("bn", name="Bengali", sentences=["বৃষ্টি পড়ে।"])
    assert finished_copy.plan().jobs == {}
    change("bn", optional_marks=["0981-0981"])
    assert finished_copy.plan().jobs.keys() == AFTER_MERGE
    change("bn", optional_marks=[], normalise={})
    jobs = finished_copy.plan().jobs
    assert jobs.keys() == {"clean", *AFTER_MERGE} and jobs["clean"] == 3
