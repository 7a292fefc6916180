"""Masked runs, whole models, and runs that go on with other runs, at a small size."""

import csv
import shutil
from pathlib import Path

import pytest
import yaml
from pipeline import ROOT, TRAINING, Outcome, Project, files_named, made_once

RESULTS = Path("results/tamil")
OWN = {"licence": "CC0-1.0", "author": "Kalam", "retrieved": "2026-01-01"}
SHORT = TRAINING | {"steps": 8, "evaluate_every": 4}
REGISTERS = ["modern", "classical"]
LOOSE = {"task": "causal", "quantisation": "none", "training": SHORT}
TAMIL = {
    "language": "ta",
    "datasets": {
        "text": {
            "sources": {
                name: {
                    "kind": "files",
                    "register": name,
                    "paths": [f"resources/tamil/{name}.jsonl"],
                    "max_records": 16,
                    **OWN,
                }
                for name in REGISTERS
            },
            "splits": {"validation": 0.2, "test": 0.25},
        }
    },
    "models": {
        "xlmr": {
            "kind": "scratch",
            "task": "masked",
            "parts": REGISTERS,
            "tokenizer": {"kind": "unigram", "vocabulary": 200},
            "architecture": {
                "model_type": "xlm-roberta",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "max_position_embeddings": 130,
            },
        },
        "gemma": {
            "kind": "scratch",
            "parts": ["modern"],
            "tokenizer": {"vocabulary": 400},
            "architecture": {
                "model_type": "gemma3_text",
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 32,
                "sliding_window": 32,
                "max_position_embeddings": 1024,
            },
            "training": SHORT,
        },
    },
    "evaluation": {"context": 256, "stride": 128, "floor_orders": [2, 3], "resamples": 100, "continuations": 1},
    "runs": {
        "mlm": {
            "task": "masked",
            "masked": {"whole_words": True},
            "base": "xlmr",
            "parts": REGISTERS,
            "tuning": "full",
            "quantisation": "none",
            "training": SHORT,
        },
        "mlm2": {
            "task": "masked",
            "base": "mlm",
            "parts": ["classical"],
            "quantisation": "none",
            "lora": {"rank": 2, "dora": True},
            "training": SHORT | {"steps": None, "epochs": 0.5},
        },
        "adapt": {**LOOSE, "base": "gemma", "parts": ["classical"]},
        "again": {**LOOSE, "base": "adapt", "parts": ["modern"]},
        "whole": {
            "task": "causal",
            "base": "again",
            "parts": ["classical"],
            "tuning": "full",
            "quantisation": "none",
            "training": SHORT,
        },
    },
}


def configure(project: Project, section: dict) -> None:
    text = yaml.safe_dump({"projects": {"tamil": section}}, sort_keys=False)
    (project / "config/config.yaml").write_text(text, encoding="utf-8")


def run_whole(folder: Path) -> Outcome:
    project = Project.make(folder)
    shutil.copytree(ROOT / "resources/tamil", project / "resources/tamil")
    configure(project, TAMIL)
    return project.snakemake(RESULTS / "ppl.txt")


@pytest.fixture(scope="session")
def tamil(tmp_path_factory) -> Project:
    return made_once(tmp_path_factory, "tamil", run_whole)


def metrics(project: Project) -> list[dict[str, str]]:
    with open(project / RESULTS / "metrics.tsv", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_there_is_nothing_left_to_do(tamil):
    assert tamil.plan(RESULTS / "ppl.txt").jobs == {}


def test_every_run_has_its_part_of_the_page(tamil):
    text = (tamil / RESULTS / "ppl.txt").read_text(encoding="utf-8")
    heads = [line for line in text.splitlines() if line.startswith(("Perplexity:", "Hidden tokens:"))]
    assert heads == [
        "Perplexity: project tamil, run adapt",
        "Perplexity: project tamil, run again",
        "Perplexity: project tamil, run whole",
        "Hidden tokens: project tamil, run mlm of xlmr",
        "Hidden tokens: project tamil, run mlm2 of xlmr",
    ]
    tables = [line for line in text.splitlines() if line.startswith("Runs on the same text:")]
    assert tables == [
        "Runs on the same text: project tamil, adapt, again, whole",
        "Runs on the same text: project tamil, mlm, mlm2",
    ]
    assert "base gemma after adapt" in text
    assert "base gemma after again" in text


def test_the_page_names_files_that_are_there(tamil):
    named = files_named((tamil / RESULTS / "ppl.txt").read_text(encoding="utf-8"))
    assert {Path(name).name for name in named} == {"curves.svg", "page.html", "metrics.tsv", "candidates.tsv"}
    assert [name for name in named if not (tamil / RESULTS / name).is_file()] == []


def test_a_masked_run_is_measured_on_both_splits_beside_its_floor_and_its_base(tamil):
    rows = [row for row in metrics(tamil) if row["run"] == "mlm"]
    found = {(row["role"], row["split"], row["part"]) for row in rows if row["metric"] == "masked_nll"}
    places = [(split, register) for split in ("validation", "test") for register in REGISTERS]
    assert found == {(role, *place) for role in ("floor", "base", "adapted") for place in places}
    differences = {row["metric"] for row in rows if "minus" in row["metric"]}
    assert differences == {"masked_nll_minus_floor", "masked_nll_minus_base"}
    page = (tamil / RESULTS / "runs/mlm/page.html").read_text(encoding="utf-8")
    assert page.count("<section>") >= 4
    assert (tamil / RESULTS / "runs/mlm/curves.svg").exists()


def test_what_a_run_begins_with_is_what_the_other_left(tamil):
    """Its untouched base has the figures of the run before."""
    rows = {
        (row["run"], row["role"]): row["value"]
        for row in metrics(tamil)
        if (row["metric"], row["part"]) == ("bits_per_byte", "classical") and "floor" not in row["role"]
    }
    assert rows["again", "base"] == rows["adapt", "adapted"]
    assert rows["whole", "base"] == rows["again", "adapted"]
    assert len(set(rows.values())) == 4
    masked = {
        (row["run"], row["role"]): row["value"]
        for row in metrics(tamil)
        if (row["metric"], row["part"], row["split"]) == ("masked_nll", "classical", "test")
    }
    assert masked["mlm2", "base"] == masked["mlm", "adapted"]
    base = tamil.json(RESULTS / "runs/whole/base.json")
    assert (base["model"], base["run"], base["adapter"]) == ("gemma", "again", f"{RESULTS}/runs/again/adapter")
    first, second = (tamil.rows(RESULTS / f"runs/{run}/history.jsonl") for run in ("adapt", "again"))
    assert first[0]["step"] == second[0]["step"] == 0


def test_whole_models_are_left_in_the_hub_s_layout(tamil):
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    for run, kind in (("mlm", AutoModelForMaskedLM), ("whole", AutoModelForCausalLM)):
        folder = tamil / RESULTS / "runs" / run / "model"
        kind.from_pretrained(folder)
        assert (folder / "tokenizer.json").exists()
        assert not (folder.parent / "adapter").exists()


def test_how_tokens_are_hidden_is_a_setting_of_the_run(tamil, tmp_path):
    project = tamil.copy(tmp_path / "project")
    runs = TAMIL["runs"] | {"mlm2": TAMIL["runs"]["mlm2"] | {"masked": {"share": 0.3}}}
    configure(project, TAMIL | {"runs": runs})
    jobs = project.plan(RESULTS / "ppl.txt").jobs
    after = {"train_run": 1, "score_masked": 2, "fillings": 1, "curves": 1, "evaluate_masked": 1, "ppl": 1}
    assert jobs == after | {"run_table": 1}, "the two masked runs no longer stand in one table"


def test_a_run_that_others_begin_with_is_followed_by_them(tamil):
    jobs = tamil.plan(RESULTS / "ppl.txt", "--forcerun", "--config", "num_epochs=1", "project=tamil").jobs
    assert (jobs["train_run"], jobs["train_run_whole"]) == (3, 2)
    assert "pretrain" not in jobs
