"""Profiles: each complete in itself, alike where they must be, and no rule asks for a GPU by itself."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
ALIKE = ("rerun-triggers", "max-checksum-file-size", "rerun-incomplete", "show-failed-logs", "scheduler")
RULES = {
    name: body
    for file in (ROOT / "rules").glob("*.smk")
    for name, body in re.findall(r"^rule (\w+):\n((?:(?:    .*)?\n)+)", file.read_text(encoding="utf-8"), re.MULTILINE)
}
for file in (ROOT / "rules").glob("*.smk"):
    for base, name in re.findall(r"^use rule (\w+) as (\w+) with:$", file.read_text(encoding="utf-8"), re.MULTILINE):
        RULES[name] = RULES[base]
ON_GPU = {name for name, body in RULES.items() if re.search(r"^        gpu=0,$", body, re.MULTILINE)}


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))


def test_there_are_the_three_and_the_clouds():
    assert PROFILES == ["aws-batch", "default", "google-batch", "kubernetes", "local-gpu", "slurm"]


@pytest.mark.parametrize("name", PROFILES)
def test_what_decides_whether_a_rule_runs_again_is_alike(name):
    """A run that changes place runs nothing again."""
    expected = profile("default")
    assert {key: profile(name).get(key) for key in ALIKE} == {key: expected[key] for key in ALIKE}


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "default"])
def test_exactly_the_rules_that_can_use_a_gpu_are_given_one(name):
    given = profile(name)["set-resources"]
    assert {rule for rule, resources in given.items() if resources.get("gpu") == 1} == ON_GPU
    assert given.keys() <= RULES.keys()


def test_rules_ask_for_no_gpu_and_never_retry():
    assert {"pretrain", "train_run", "score_model"} <= ON_GPU
    for name, body in RULES.items():
        assert not re.search(r"^        gpu=[^0]", body, re.MULTILINE), name
        assert "retries:" not in body, name


def test_the_shards_of_a_rule_are_an_array_on_slurm():
    arrays = profile("slurm")["slurm-array-jobs"].split(", ")
    shards = {name for name in RULES if name.endswith("_shard")}
    assert {"clean_shard", "tokenise_run_shard"} <= shards
    assert {"clean", *shards} == {*arrays}


def test_what_needs_the_network_stays_where_snakemake_is():
    assert all("localrule: True" in RULES[name] for name in ("collect", "fetch_model"))


def test_scripts_know_nothing_of_memory_time_and_partitions():
    for script in (ROOT / "scripts").glob("*.py"):
        assert not re.search("mem_mb|runtime|partition|sbatch", script.read_text(encoding="utf-8")), script.name


def test_a_site_has_a_file_of_its_own():
    site = yaml.safe_load((ROOT / "profiles/slurm/site.yaml").read_text(encoding="utf-8"))
    assert site.keys() == {"account", "cpu_partition", "gpu_partition", "hours"}
