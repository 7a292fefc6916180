"""Lists and folds in the workflow: what they run, what they leave alone, and that nothing held out is trained on."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from pipeline import OWN, RESULTS, SMALL, TRAINING, Outcome, Project, made_once

DATA = RESULTS / "data"
RANKS = {"task": "causal", "base": "llama", "parts": ["verse"], "quantisation": "none", "training": TRAINING}
MASKED = {
    "kind": "scratch",
    "task": "masked",
    "tokenizer": {"kind": "unigram", "vocabulary": 200},
    "architecture": {
        "model_type": "xlm-roberta",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 130,
    },
}
# One training: of what a run of a list, or of a fold, is made of
OF_A_RUN = {"choose_base", "tokenise_run", "train_run", "score_run", "floors", "evaluate_causal"}
FOLDS = [f"text.verse.fold{number}of2" for number in (1, 2)]


def two_ranks_in_two_folds(folder: Path) -> Project:
    """A model of random weights, adapted with two ranks in two folds."""
    project = Project.make(folder)
    with project.changed() as section:
        prose, verse = (section["datasets"]["text"]["sources"][name] for name in ("everyday", "poems"))
        section["datasets"]["text"]["sources"] = {"everyday": prose, "poems": verse | OWN}
        section["datasets"]["text"]["splits"] = {"validation": 0.2, "test": 0.2}
        section["models"] = {"llama": SMALL["models"]["llama"] | {"training": None}}
        section["runs"] = {"adapt": RANKS | {"folds": 2, "lora": {"rank": [2, 4]}}}
    return project


def held_out_rows(folder: Path) -> Outcome:
    return two_ranks_in_two_folds(folder).snakemake(RESULTS / "runs.txt", DATA / "text/test.jsonl")


@pytest.fixture(scope="session")
def folded(tmp_path_factory) -> Project:
    """Both ranks scored out of fold; to be read or copied."""
    return made_once(tmp_path_factory, "folded", held_out_rows)


def ids(project: Project, file: str) -> list[str]:
    return [row["id"] for row in project.rows(DATA / file)]


@pytest.mark.slow
def test_each_row_is_answered_once_by_a_run_that_has_not_read_its_group(folded):
    every = {split: folded.rows(DATA / f"text/{split}.jsonl") for split in ("train", "validation", "test")}
    verse = [row["id"] for split in ("train", "validation") for row in every[split] if row["register"] == "verse"]
    assert sorted(ids(folded, f"{FOLDS[0]}/test.jsonl") + ids(folded, f"{FOLDS[1]}/test.jsonl")) == sorted(verse)
    untouched = {row["group"] for row in every["test"]}
    for fold in FOLDS:
        groups = [
            {row["group"] for row in folded.rows(DATA / fold / f"{split}.jsonl")}
            for split in ("train", "validation", "test")
        ]
        assert all(groups) and Counter(group for some in groups for group in some).most_common(1)[0][1] == 1
        assert not untouched & set().union(*groups)
    for name in ("adapt.rank2", "adapt.rank4"):
        rows = folded.rows(RESULTS / f"runs/{name}/scores.jsonl")
        for role in ("floor_base", "floor", "base", "adapted"):
            assert sorted(row["id"] for row in rows if row["role"] == role) == sorted(verse), role
        for row in rows:
            assert row["id"] in ids(folded, f"{FOLDS[row['fold'] - 1]}/test.jsonl")


@pytest.mark.slow
def test_the_two_ranks_stand_in_one_table_with_the_difference_between_them(folded):
    with open(folded / RESULTS / "runs.tsv", encoding="utf-8") as handle:
        (row,) = csv.DictReader(handle, delimiter="\t")
    assert (row["run"], row["metric"], row["part"]) == ("adapt.rank4", "bits_per_byte_minus_adapt.rank2", "verse")
    figures = []
    for name in ("adapt.rank2", "adapt.rank4"):
        with open(folded / RESULTS / f"runs/{name}/metrics.tsv", encoding="utf-8") as handle:
            rows = csv.DictReader(handle, delimiter="\t")
            figures.append(next(r for r in rows if (r["role"], r["metric"]) == ("adapted", "bits_per_byte")))
    assert float(row["value"]) == pytest.approx(float(figures[1]["value"]) - float(figures[0]["value"]), abs=1e-4)
    assert {row["text_sha256"]} == {figure["text_sha256"] for figure in figures}
    assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    text = (folded / RESULTS / "runs.txt").read_text(encoding="utf-8")
    assert "Runs on the same text: project bangla, adapt.rank2, adapt.rank4" in text


@pytest.mark.slow
def test_another_value_trains_its_own_runs_and_folds_that_go_touch_nothing_else(folded, tmp_path):
    target = RESULTS / "runs.txt"
    assert folded.plan(target).jobs == {}
    project = folded.copy(tmp_path / "project")
    with project.changed() as section:
        section["runs"]["adapt"]["lora"]["rank"] = [2, 3, 4]
    assert project.plan(target).jobs == dict.fromkeys(OF_A_RUN, 2) | {"out_of_fold": 1, "run_table": 1}
    with project.changed() as section:
        section["runs"]["adapt"]["lora"]["rank"] = [4, 2]
    assert project.plan(target).jobs == {"run_table": 1}
    with project.changed() as section:
        section["runs"]["adapt"] = RANKS | {"lora": {"rank": [2, 4]}}
    assert project.plan(target).jobs == dict.fromkeys(OF_A_RUN, 2) | {"score_model": 1, "run_table": 1}
    with project.changed() as section:
        section["runs"]["adapt"] = RANKS | {"folds": 2, "lora": {"rank": [2, 4]}}
        section["runs"]["plain"] = RANKS | {"lora": {"rank": 2}}
    assert project.plan(RESULTS / "runs/adapt.rank2/report.txt").jobs == {}
    jobs = project.plan(RESULTS / "runs/plain/report.txt").jobs
    assert jobs == dict.fromkeys(OF_A_RUN, 1) | {"score_model": 1}


def test_a_list_and_folds_make_the_runs_that_they_say(tmp_path):
    project = two_ranks_in_two_folds(tmp_path / "project")
    with project.changed() as section:
        section["models"]["xlmr"] = MASKED
        section["runs"]["mlm"] = RANKS | {"task": "masked", "base": "xlmr", "parts": ["prose", "verse"], "folds": 3}
    jobs = project.plan(RESULTS / "ppl.txt").jobs
    causal, every = {"score_run", "floors", "evaluate_causal"}, {"choose_base", "tokenise_run", "train_run", "curves"}
    assert {rule: jobs[rule] for rule in causal | every} == dict.fromkeys(causal, 4) | dict.fromkeys(every, 4 + 3)
    assert {rule: jobs[rule] for rule in ("count_tokens", "score_masked", "evaluate_masked")} == {
        "count_tokens": 3,
        "score_masked": 6,
        "evaluate_masked": 3,
    }
    assert (jobs["fold"], jobs["out_of_fold"], jobs["run_table"]) == (2 + 3, 2 + 1, 1)
    assert jobs["score_model"] == 3, "the candidate on the dataset for the choice, and on each fold"
