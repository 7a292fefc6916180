"""Bangla on real news, books and poems, from the files to ppl.txt, with the configuration of the benchmark."""

import csv
import unicodedata

import pytest
import yaml
from pipeline import ROOT, Project

RESULTS = "results/bangla_real"
SHORTER = {"steps": 120, "batch": 4, "micro_batch": 4, "evaluate_every": 40}


def figures(project: Project, metric: str) -> dict[tuple[str, str], dict[str, str]]:
    with open(project / f"{RESULTS}/metrics.tsv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    return {(row["role"] + "/" + row["system"], row["part"]): row for row in rows if row["metric"] == metric}


def check_that_adaptation_shows_on_verse(real: Project) -> None:
    difference = figures(real, "bits_per_byte_minus_base")
    ((_, gain),) = [item for item in difference.items() if item[0][1] == "verse"]
    assert float(gain["high"]) < 0
    assert int(gain["n"]) >= 30


def check_that_the_older_edition_is_found_to_be_the_same_books(real: Project) -> None:
    dropped = real.rows(f"{RESULTS}/data/text/merged.dropped.jsonl")
    older = [row for row in dropped if row["source"] == "books_2020"]
    assert len(older) > 300
    reasons = {row["reason"] for row in older}
    assert {"duplicate", "near_duplicate"} <= reasons <= {"duplicate", "near_duplicate", "contained"}


def check_that_splits_share_no_group_and_text_keeps_joiners_and_lines(real: Project) -> None:
    splits = {name: real.rows(f"{RESULTS}/data/text/{name}.jsonl") for name in ("train", "validation", "test")}
    groups = [{row["group"] for row in rows} for rows in splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    verse = [row["text"] for row in splits["train"] if row["register"] == "verse"]
    joiners = sum("\u200c" in text or "\u200d" in text for text in verse)
    assert joiners > 100
    assert sum("\n" in text for text in verse) > 0.98 * len(verse)
    assert all(unicodedata.is_normalized("NFC", text) for text in verse)


def check_that_every_document_is_scored(real: Project) -> None:
    for (name, register), row in figures(real, "bits_per_byte").items():
        assert row["failures"] == "0", (name, register)
        assert 0.4 < float(row["value"]) < 4, (name, register)


@pytest.mark.slow
def test_news_books_and_poems(shared_data, tmp_path):
    """One test, so that the project is run once: benchmarks/real_bangla.yaml with fewer steps."""
    real = Project.make(tmp_path / "kalam")
    text = (ROOT / "benchmarks/real_bangla.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text.replace("{data}", str(shared_data.resolve())))
    section = config["projects"]["bangla_real"]
    for part in (*section["models"].values(), *section["runs"].values()):
        part["training"] |= SHORTER
    (real / "real.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    outcome = real.snakemake(f"{RESULTS}/ppl.txt", "--configfile", "real.yaml", timeout=30 * 60)
    assert outcome.status == 0, outcome.output
    check_that_every_document_is_scored(real)
    check_that_adaptation_shows_on_verse(real)
    check_that_the_older_edition_is_found_to_be_the_same_books(real)
    check_that_splits_share_no_group_and_text_keeps_joiners_and_lines(real)
