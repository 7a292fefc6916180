"""The exports of a project: every file with its verification, made once. Slow: llama.cpp may have to be built."""

import csv
import shutil
from pathlib import Path

import pytest
from pipeline import RESULTS, Project

pytestmark = pytest.mark.slow
LOOSE = {"divergence": 0.05, "agreement": 0.5}  # after sixteen steps every token is as likely as the next
KINDS = ("f32", "q8_0", "q4_k_m", "adapter")
EXPORTS = {
    "runs": ["adapt"],
    "quantisations": ["q8_0", "q4_k_m"],
    "adapter": True,
    "tokens": 500,
    "bounds": {"f16": {"divergence": 1e-4, "agreement": 0.9}, "q8_0": LOOSE, "q4_k_m": LOOSE},
}


@pytest.fixture
def exported(finished_copy: Project, llama_cpp: Path) -> Project:
    shutil.copytree(llama_cpp, finished_copy / "results/.tools" / llama_cpp.name, symlinks=True)
    with finished_copy.changed() as section:
        section["exports"] = EXPORTS
    finished_copy.run()
    return finished_copy


def test_a_run_is_exported_once_and_every_file_is_verified(exported):
    folder = RESULTS / "exports"
    for kind in KINDS:
        found = exported.json(folder / f"adapt.{kind}.json")
        assert (found["run"], found["kind"]) == ("adapt", kind)
        assert (exported / folder / f"adapt.{kind}.gguf").stat().st_size == found["size"]
        assert found["divergence"] <= found["bound"]["divergence"]
    assert (exported / folder / "adapt/README.md").read_text(encoding="utf-8").startswith("---\nlanguage:\n- bn\n")
    page = (exported / RESULTS / "exports.txt").read_text(encoding="utf-8")
    assert all(f"adapt.{kind}.gguf" in page for kind in KINDS)
    assert (exported / RESULTS / "exports.svg").read_text(encoding="utf-8").startswith("<?xml")

    with open(exported / RESULTS / "candidates.tsv", encoding="utf-8", newline="") as handle:
        candidates = {row["model"]: row for row in csv.DictReader(handle, delimiter="\t")}
    assert candidates["xglm"]["reason"].startswith("cannot be exported: llama.cpp has no xglm")
    assert float(candidates["xglm"]["bits_per_byte"]) > 0
    assert exported.json(RESULTS / "models/best.json")["model"] == "llama"

    assert "Nothing to be done" in exported.run().output
    with exported.changed() as section:
        section["exports"] = EXPORTS | {"quantisations": ["q8_0", "q4_k_m", "q6_k"]}
    assert exported.plan().jobs == {"card": 1, "quantise": 1, "verify": 1, "exports": 1}
    with exported.changed() as section:
        section["exports"] = EXPORTS | {"bounds": EXPORTS["bounds"] | {"q8_0": {"divergence": 1e-9, "agreement": 0.5}}}
    outcome = exported.snakemake()
    assert outcome.status == 1
    assert "adapt.q8_0.gguf: KL divergence" in outcome.output
