"""A task is a row, a module and a rule file: one more is added to a copy of the workflow, nothing else is touched."""

import csv
import shutil
from pathlib import Path

import pytest
from pipeline import RESULTS, TRAINING, Project

HERE = Path(__file__).parent / "reversed"
RUN = {"task": "reversed", "base": "llama", "parts": ["verse"], "training": TRAINING, "reversed": {"words": True}}


@pytest.fixture
def with_task(finished_copy: Project) -> Project:
    """The finished workflow with the task `reversed`, which no run does yet."""
    with open(finished_copy / "config/tasks.yaml", "a", encoding="utf-8") as table:
        table.write("\n" + (HERE / "row.yaml").read_text(encoding="utf-8"))
    shutil.copy(HERE / "reversed.py", finished_copy / "kalam/tasks/reversed.py")
    shutil.copy(HERE / "reversed.smk", finished_copy / "rules/reversed.smk")
    return finished_copy


def test_another_task_runs_nothing_of_the_others(with_task):
    assert with_task.plan().jobs == {}


def test_a_run_of_another_task_comes_to_its_figures_on_the_pages_of_the_project(with_task):
    with with_task.changed() as section:
        section["runs"]["mirror"] = RUN
    jobs = with_task.run(RESULTS / "ppl.txt").jobs
    own = {"score_reversed": 2, "page_reversed": 1, "evaluate_reversed": 1}
    shared = {"choose_base": 1, "tokenise_run": 1, "train_run": 1, "curves": 1, "ppl": 1}
    assert jobs == own | shared
    with open(with_task / RESULTS / "metrics.tsv", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle, delimiter="\t") if row["run"] == "mirror"]
    figures = {(row["role"], row["part"]): float(row["value"]) for row in rows}
    assert figures.keys() == {(role, part) for role in ("base", "adapted") for part in ("prose", "verse")}
    assert figures["adapted", "verse"] < figures["base", "verse"]
    task = with_task.json(RESULTS / "runs/mirror/meta.json")["identity"]["task"]
    assert task == {"name": "reversed", "head": "AutoModelForCausalLM", "words": True}
    text = (with_task / RESULTS / "ppl.txt").read_text(encoding="utf-8")
    assert "Reversed: run mirror of llama" in text and "Reversed texts: runs/mirror/page.html" in text
    assert with_task.plan().jobs == {}


def test_what_it_may_begin_with_stands_in_its_row(with_task):
    with with_task.changed() as section:
        section["runs"]["mirror"] = RUN | {"base": "best"}
    outcome = with_task.snakemake("--dry-run")
    assert outcome.status != 0
    found = "runs.mirror.base: found best; allowed where the task is reversed are llama, xglm, adapt"
    assert found in outcome.output
