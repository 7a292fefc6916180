"""The embedded default, at a small size: what it makes, and that it makes it once and the same again."""

import csv
import os
import random
import re
from pathlib import Path

import pytest
from pipeline import MINUTES, RESULTS, Project, end, files_named

MODELS = ("llama", "xglm")
SPLITS = ("train", "validation", "test")
DECLARED = [
    *(f"data/text/sources/{s}.{kind}" for s in ("site", "everyday", "poems") for kind in ("jsonl", "dropped.jsonl")),
    *(f"data/text/clean/{s}.{kind}" for s in ("site", "everyday", "poems") for kind in ("jsonl", "dropped.jsonl")),
    "data/text/merged.jsonl",
    "data/text/merged.dropped.jsonl",
    "data/text/merged.counts.json",
    "data/text/statistics.tsv",
    *(f"data/text/{split}.jsonl" for split in SPLITS),
    *(
        f"models/{model}/{name}"
        for model in ("llama", "xglm")
        for name in ("meta.json", "history.jsonl", "config.json", "model.safetensors")
    ),
    *(f"models/{model}/scores/text.{split}.jsonl" for model in ("llama", "xglm") for split in ("validation", "test")),
    "models/best.json",
    "candidates.tsv",
    *(f"runs/adapt/{name}" for name in ("base.json", "meta.json", "history.jsonl", "adapter/adapter_config.json")),
    "runs/adapt/adapter/adapter_model.safetensors",
    *(f"runs/adapt/systems/{role}.test.jsonl" for role in ("floor_base", "floor", "adapted")),
    *(f"runs/adapt/{name}" for name in ("scores.jsonl", "metrics.tsv", "report.txt")),
    *(f"runs/adapt/{name}" for name in ("curves.svg", "curves.png", "page.html")),
    "metrics.tsv",
    "ppl.txt",
    "provenance.json",
]
METRIC_COLUMNS = [
    *("project", "run", "system", "role", "split", "part", "metric", "profile", "context", "text_sha256"),
    *("value", "low", "high", "n", "groups", "failures"),
]


def table(project: Project, name: str) -> list[dict[str, str]]:
    with open(project / RESULTS / name, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def splits(project: Project) -> dict[str, list[dict]]:
    return {split: project.rows(RESULTS / "data/text" / f"{split}.jsonl") for split in SPLITS}


def test_makes_every_file(finished):
    missing = [name for name in DECLARED if not (finished / RESULTS / name).is_file()]
    assert not missing
    assert not list((finished / "results").rglob("*.tmp"))


def test_every_output_snakemake_knows_of_is_there_and_current(finished_copy):
    summary = finished_copy.run("--detailed-summary").output
    rows = [line.split("\t") for line in summary.splitlines() if line.startswith("results/")]
    assert len(rows) > len(DECLARED) / 2
    assert {(status, plan) for *_, status, plan in rows} == {("ok", "no update")}


def test_the_page_names_files_that_are_there(finished):
    named = files_named((finished / RESULTS / "ppl.txt").read_text(encoding="utf-8"))
    assert {Path(name).name for name in named} == {"curves.svg", "page.html", "metrics.tsv", "candidates.tsv"}
    assert [name for name in named if not (finished / RESULTS / name).is_file()] == []


@pytest.mark.parametrize("register", ["prose", "verse"])
def test_ppl_compares_floor_candidates_base_and_adapted(finished, register):
    text = (finished / RESULTS / "ppl.txt").read_text(encoding="utf-8")
    best = finished.json(RESULTS / "models/best.json")["model"]
    (other,) = {*MODELS} - {best}
    lines = text.split(f"Register {register} ")[1].split("\n\n")[0].splitlines()[2:]
    labels = [re.split(r"  +", line)[0] for line in lines]
    expected = ["floor, base text", "floor, base and run text"]
    assert labels == [*expected, f"candidate {other}", f"base {best}", f"adapted {best}"]
    assert all(re.search(r"\d\.\d{4}  \[\d\.\d{4}, \d\.\d{4}\]", line) for line in lines), lines


def test_metrics_have_their_columns_interval_count_and_text(finished):
    rows = table(finished, "metrics.tsv")
    assert list(rows[0]) == METRIC_COLUMNS
    assert {row["project"] for row in rows} == {"bangla"}
    assert {row["split"] for row in rows} == {"test"}
    assert {row["failures"] for row in rows} == {"0"}
    assert {row["context"] for row in rows} == {"256"}
    bits = [row for row in rows if row["metric"] == "bits_per_byte"]
    systems = {(row["role"], row["system"]) for row in bits}
    best = finished.json(RESULTS / "models/best.json")["model"]
    (other,) = {*MODELS} - {best}
    floors = {("floor", "floor"), ("floor_base", "floor_base")}
    assert systems == {("candidate", other), ("base", best), ("adapted", "adapt"), *floors}
    assert {row["run"] for row in rows} == {"adapt"}
    for register, documents in _by_register(splits(finished)["test"]).items():
        of_register = [row for row in bits if row["part"] == register]
        assert {(row["role"], row["system"]) for row in of_register} == systems
        assert {row["n"] for row in of_register} == {str(len(documents))}
        assert {row["groups"] for row in of_register} == {str(len({d["group"] for d in documents}))}
        assert len({row["text_sha256"] for row in of_register}) == 1
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in bits)


def test_best_is_the_candidate_with_the_fewest_bits(finished):
    candidates = {row["model"]: float(row["bits_per_byte"]) for row in table(finished, "candidates.tsv")}
    best = finished.json(RESULTS / "models/best.json")
    assert candidates.keys() == {*MODELS}
    assert best["model"] == min(candidates, key=candidates.get)
    assert finished.json(RESULTS / "runs/adapt/base.json")["model"] == best["model"]


def test_splits_are_disjoint_by_group_and_by_text(finished):
    parts = splits(finished)
    for key in ("group", "text", "id"):
        values = [{row[key] for row in rows} for rows in parts.values()]
        assert len(set.union(*values)) == sum(map(len, values)), key
    assert len({row["group"] for rows in parts.values() for row in rows}) < sum(map(len, parts.values()))
    for rows in parts.values():
        assert _by_register(rows).keys() == {"prose", "verse"}
    merged = finished.rows(RESULTS / "data/text/merged.jsonl")
    together = [row["id"] for rows in parts.values() for row in rows]
    assert sorted(together) == sorted(row["id"] for row in merged)


def _by_register(rows: list[dict]) -> dict[str, list[dict]]:
    return {register: [r for r in rows if r["register"] == register] for register in {r["register"] for r in rows}}


def test_provenance_says_what_it_was_made_with(finished):
    provenance = finished.json(RESULTS / "provenance.json")
    assert provenance["config"]["runs"]["adapt"]["lora"]["rank"] == 16
    assert provenance["seed"] == 20
    assert {"snakemake", "torch", "transformers"} <= provenance["packages"].keys()
    assert "revision" in provenance


def test_a_second_call_does_nothing(finished_copy):
    before = finished_copy.digests()
    outcome = finished_copy.run()
    assert "Nothing to be done" in outcome.output
    assert finished_copy.digests() == before


@pytest.mark.parametrize("order", ["results_first", "results_last", "random"])
def test_touching_every_file_runs_nothing(finished_copy, order):
    """Whatever the modification times say, the contents are the same."""
    files = [file for file in finished_copy.folder.rglob("*") if file.is_file() and ".snakemake" not in file.parts]
    random.Random(1).shuffle(files)
    if order != "random":
        files.sort(key=lambda file: ("results" in file.parts) == (order == "results_last"))
    now = 2_000_000_000
    for second, file in enumerate(files):
        os.utime(file, (now + second, now + second))
    assert finished_copy.plan().jobs == {}


def made_anew(project: Project, *targets: Path) -> dict[str, str]:
    """The digests of what is made from nothing in real processes, as users have them, with a hash seed of their own."""
    project.forget()
    process = project.start(*targets)
    try:
        status = process.wait(10 * MINUTES)
    finally:
        end(process)
    assert status == 0, (project / "snakemake.out").read_text(encoding="utf-8")
    return project.digests()


def test_a_model_from_nothing_has_the_same_bytes_again(finished, finished_copy):
    """The same of adapters is in tests/unit/test_runs.py."""
    model = RESULTS / "models/llama"
    made = made_anew(finished_copy, model / "meta.json")
    splits = {str(RESULTS / f"data/text/{split}.jsonl") for split in SPLITS}
    assert made.keys() > {str(model / "model.safetensors"), *splits}
    assert made.items() <= finished.digests().items()


@pytest.mark.slow
def test_two_runs_from_nothing_give_the_same_bytes(finished, finished_copy):
    """Every file of the results, models and adapter included."""
    assert made_anew(finished_copy) == finished.digests()
