"""What a change reruns: what depends on it, and nothing else."""

import re
from collections.abc import Iterator
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

import pytest
import yaml
from pipeline import ADAPTER, RESULTS, ROOT, Project

from kalam.files import code
from kalam.files.code import LEFT_OUT

AFTER_TRAINING = {"train_run", "score_run", "continuations", "evaluate_causal", "curves", "ppl"}
AFTER_MERGE = {
    *("merge", "split", "tokenise_model", "pretrain", "score_model", "choose", "choose_base", "tokenise_run"),
    *("floors", *AFTER_TRAINING),
}
HANDED_OUT = "handing it out without a step"
A_STANZA = "\n\nনদীর ধারে বসে একা মাঝি গান গায়,\nভাটির টানে নৌকা তার দূরে ভেসে যায়।\n"


def scripts_of(file: Path) -> Iterator[tuple[str, str, str]]:
    """The name, the script and the text of each rule of a rule file."""
    for rule in re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        if script := re.search(r'script:\s+"../scripts/(\w+)\.py"', rule):
            yield re.match(r"\w+", rule)[0], script[1], rule


RULES = [rule for file in (ROOT / "rules").glob("*.smk") for rule in scripts_of(file)]
SCRIPTS = {name: script for name, script, _ in RULES} | {"train_run_whole": "train_run"}
# What a script imports by a name it is given, no reading of imports finds.
NAMED = {name: re.search(r'\bcode\(\s*"\w+\.py", "([\w.]+)"', rule) for name, _, rule in RULES}
IMPORTED_BY_NAME = {name: found[1] for name, found in NAMED.items() if found}
IMPORTED_BY_NAME |= {name: "kalam.tasks.causal" for name, _, rule in RULES if "code=code_of_task(" in rule}


# --- settings


def test_a_setting_from_the_command_line_reruns_the_training_and_is_undone_without_a_step(finished, finished_copy):
    project = finished_copy
    assert project.plan("--config", "lora_rank=4").jobs == dict.fromkeys(AFTER_TRAINING, 1)
    project.run(ADAPTER, "--config", "lora_rank=4")
    assert project.json(ADAPTER)["identity"]["lora"]["rank"] == 4
    assert "step 16: validation loss" in project.log("train_run/adapt.log")
    assert project.json(RESULTS / "runs/adapt/adapter/adapter_config.json")["r"] == 4

    assert project.run(ADAPTER).jobs == {"train_run": 1}
    assert HANDED_OUT in project.log("train_run/adapt.log")
    assert project.digests() == finished.digests()
    assert project.plan().jobs == {}, "scores of the same adapter are asked for again"


def test_a_lora_setting_in_the_file_reruns_the_training(finished_copy):
    """All settings of a run are one parameter of its rule."""
    with finished_copy.changed() as section:
        section["runs"]["adapt"]["lora"] = {"targets": ["q_proj"]}
    assert finished_copy.plan().jobs == dict.fromkeys(AFTER_TRAINING, 1)


def test_a_setting_given_its_default_reruns_nothing(finished_copy):
    with finished_copy.changed() as section:
        section["runs"]["adapt"]["lora"] = {"dropout": 0.05, "alpha": 32, "rank": 16, "targets": "all-linear"}
    assert finished_copy.plan().jobs == {}


def test_the_micro_batch_hands_the_same_training_out(finished, finished_copy):
    """It decides how long a training takes, never what comes out."""
    assert finished_copy.run(ADAPTER, "--config", "micro_batch=1").jobs == {"train_run": 1}
    assert HANDED_OUT in finished_copy.log("train_run/adapt.log")
    assert finished_copy.digests() == finished.digests()


def test_the_pretraining_of_one_model_leaves_the_other_alone(finished_copy):
    with finished_copy.changed() as section:
        section["models"]["llama"]["training"]["learning_rate"] = 1.0e-3
    jobs = finished_copy.plan().jobs
    assert jobs["pretrain"] == jobs["score_model"] == 1
    after_choice = {"choose", "choose_base", "tokenise_run", *AFTER_TRAINING}
    assert jobs.keys() == {"pretrain", "score_model", *after_choice}


@pytest.mark.parametrize(
    ("key", "value", "rules"),
    [
        ("continuations", 3, {"continuations", "ppl"}),
        ("floor_orders", [2], {"floors", "evaluate_causal", "ppl"}),
        ("stride", 64, {"score_model", "choose", "choose_base", "tokenise_run", *AFTER_TRAINING}),
    ],
)
def test_an_evaluation_setting_reruns_what_reads_it(finished_copy, key, value, rules):
    with finished_copy.changed() as section:
        section["evaluation"][key] = value
    assert finished_copy.plan().jobs.keys() == rules


# --- sources


def test_an_edited_poem_reruns_its_source_and_what_follows(finished_copy):
    poem = min((finished_copy / "resources/bangla/poems").glob("*.txt"))
    poem.write_text(poem.read_text(encoding="utf-8") + A_STANZA, encoding="utf-8")
    outcome = finished_copy.plan()
    assert outcome.jobs.keys() == {"collect", "clean", *AFTER_MERGE}
    assert outcome.jobs["collect"] == outcome.jobs["clean"] == 1
    assert {"collecting poems", "cleaning poems"} <= set(re.findall(r"(?:collecting|cleaning) \w+", outcome.output))


def test_white_space_at_a_poems_end_stops_at_the_splits(finished, finished_copy):
    """The splits come out the same, and what was made from them stands."""
    poem = min((finished_copy / "resources/bangla/poems").glob("*.txt"))
    poem.write_text(poem.read_text(encoding="utf-8").replace("\n", "  \n") + "\n \n", encoding="utf-8")
    outcome = finished_copy.run(RESULTS / "data/text/train.jsonl")
    assert outcome.jobs == {"collect": 1, "clean": 1, "merge": 1, "split": 1}
    assert _splits(finished_copy) == _splits(finished)
    assert finished_copy.plan().jobs == {}


def test_other_navigation_on_a_page_trains_nothing(finished, finished_copy):
    """In one call nothing is cut off, but the same tokens have the same fingerprint."""
    for page in (finished_copy / "resources/bangla/site").glob("*/index.html"):
        text = page.read_text(encoding="utf-8")
        assert "</nav>" in text
        page.write_text(text.replace("</nav>", '<a href="/about.html">পরিচিতি</a></nav>'), encoding="utf-8")
    jobs = finished_copy.run(ADAPTER).jobs
    assert (jobs["collect"], jobs["clean"], jobs["pretrain"], jobs["train_run"]) == (1, 1, 2, 1)
    assert _splits(finished_copy) == _splits(finished)
    for log in ("pretrain/llama.log", "pretrain/xglm.log", "train_run/adapt.log"):
        assert HANDED_OUT in finished_copy.log(log)
        assert "validation loss" not in finished_copy.log(log)
    assert finished_copy.json(ADAPTER) == finished.json(ADAPTER)


def _splits(project: Project) -> dict[str, str]:
    return {split: project.digest(RESULTS / f"data/text/{split}.jsonl") for split in ("train", "validation", "test")}


def _places(project: Project) -> dict[str, str]:
    """The split of every document, by id."""
    files = {split: RESULTS / f"data/text/{split}.jsonl" for split in ("train", "validation", "test")}
    return {row["id"]: split for split, file in files.items() for row in project.rows(file)}


def test_an_added_source_is_collected_and_the_others_are_not(finished_copy):
    (finished_copy / "resources/more.txt").write_text(A_STANZA, encoding="utf-8")
    with finished_copy.changed() as section:
        section["datasets"]["text"]["sources"]["more"] = {
            "kind": "files",
            "register": "verse",
            "paths": ["resources/more.txt"],
        }
    outcome = finished_copy.plan()
    assert outcome.jobs.keys() == {"collect", "clean", *AFTER_MERGE}
    assert outcome.jobs["collect"] == outcome.jobs["clean"] == 1
    assert "collecting more" in outcome.output
    before = _places(finished_copy)
    finished_copy.run(RESULTS / "data/text/train.jsonl")
    after = _places(finished_copy)
    assert before.items() < after.items(), "a document of another source has moved"


def test_a_removed_source_is_merged_without_and_none_is_collected(finished_copy):
    with finished_copy.changed() as section:
        del section["datasets"]["text"]["sources"]["everyday"]
    assert finished_copy.plan().jobs.keys() == AFTER_MERGE


def test_a_page_more_on_the_site_is_collected(finished_copy):
    pages = finished_copy / "resources/bangla/site"
    text = (pages / "about.html").read_text(encoding="utf-8")
    (pages / "more.html").write_text(text, encoding="utf-8")
    assert finished_copy.plan().jobs["collect"] == 1


# --- results


@pytest.mark.parametrize(
    ("names", "rules"),
    [
        (("metrics.tsv", "runs/adapt/curves.svg", "runs/adapt/page.html"), {"curves", "continuations", "ppl"}),
        (("runs/adapt/report.txt",), {"evaluate_causal", "ppl"}),
        (("runs/adapt/systems/adapted.test.jsonl",), {"score_run", "evaluate_causal", "ppl"}),
    ],
    ids=["pages and tables", "a report", "score rows"],
)
def test_deleted_results_are_made_again_alone(finished_copy, names, rules):
    for name in names:
        (finished_copy / RESULTS / name).unlink()
    target = [*(RESULTS / name for name in names), RESULTS / "ppl.txt"]
    assert finished_copy.plan(*target).jobs == dict.fromkeys(rules, 1)


def test_a_deleted_ppl_comes_back_the_same(finished, finished_copy):
    (finished_copy / RESULTS / "ppl.txt").unlink()
    assert finished_copy.run().jobs == {"ppl": 1}
    assert finished_copy.digests() == finished.digests()


@pytest.mark.parametrize("name", ["meta.json", "adapter/adapter_model.safetensors"])
def test_a_deleted_adapter_is_handed_out(finished, finished_copy, name):
    file = RESULTS / "runs/adapt" / name
    (finished_copy / file).unlink()
    finished_copy.run(file)
    assert HANDED_OUT in finished_copy.log("train_run/adapt.log")
    assert finished_copy.digests() == finished.digests()
    assert finished_copy.plan().jobs == {}


def test_who_reads_deleted_weights_has_them_made_again(finished, finished_copy):
    for name in ("adapter/adapter_model.safetensors", "systems/adapted.test.jsonl"):
        (finished_copy / RESULTS / "runs/adapt" / name).unlink()
    jobs = finished_copy.run(RESULTS / "runs/adapt/systems/adapted.test.jsonl").jobs
    assert jobs == {"train_run": 1, "score_run": 1}
    assert HANDED_OUT in finished_copy.log("train_run/adapt.log")
    assert finished_copy.digests() == finished.digests()


# --- profiles


@pytest.mark.parametrize("profile", sorted(path.name for path in (ROOT / "profiles").iterdir()))
def test_every_profile_decides_alike_what_is_run_again(profile):
    """A profile replaces another; were one to say less, touching a file would train anew."""
    settings = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text(encoding="utf-8"))
    assert settings["rerun-triggers"] == ["mtime", "params", "input", "software-env"]
    assert settings["max-checksum-file-size"] == "10GB"
    assert settings["rerun-incomplete"] is True
    assert "keep-incomplete" not in settings


# --- code


def modules(folder: Path = ROOT) -> list[str]:
    """The package's modules and the scripts, as paths."""
    files = [*(folder / "kalam").rglob("*.py"), *(folder / "scripts").glob("*.py")]
    return sorted(str(file.relative_to(folder)) for file in files)


def test_a_comment_in_every_file_of_code_runs_nothing(finished_copy):
    for name in modules(finished_copy.folder):
        file = finished_copy / name
        text = re.sub(r"^(from .*\w)$", r"\1  # why", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        file.write_text(f"# before everything\n{text}\n# after everything\n", encoding="utf-8")
    assert finished_copy.plan().jobs == {}


def change_meaning(project: Project, name: str) -> None:
    with open(project / name, "a", encoding="utf-8") as file:
        file.write("\nADDED = 1\n")


def check_modules(finished: Project, project: Project, names: tuple[str, ...]) -> None:
    for name in names:
        change_meaning(project, name)
    after = rules_after(finished)
    direct = {rule for rule in after if files_under(finished.folder, rule) & {*names}}
    assert project.plan().jobs.keys() == direct.union(*(after[rule] for rule in direct))


@pytest.mark.parametrize("file", sorted((ROOT / "rules").glob("*.smk")), ids=lambda file: file.stem)
def test_every_rule_names_the_digest_of_its_own_script(file):
    for name, script, rule in scripts_of(file):
        assert re.search(rf'\bcode=code(_of_task)?\(\s*"{script}\.py"', rule), name


@pytest.mark.parametrize("file", sorted((ROOT / "rules").glob("*.smk")), ids=lambda file: file.stem)
def test_every_rule_says_what_it_is_for_and_its_message_names_the_project(file):
    for name, _, rule in scripts_of(file):
        assert re.match(rf'{name}:\n    """\w', rule), name
        assert re.search(r'message:\n        "\{wildcards.project\}: ', rule) or name == "llama_cpp", name


@pytest.mark.parametrize(
    "names",
    [
        ("kalam/configuration/contradictions.py", "kalam/training/plan.py", "kalam/machine/launch.py"),  # nothing
        ("kalam/evaluation/perplexity_report.py", "scripts/curves.py"),
        ("kalam/evaluation/continuations.py", "kalam/evaluation/ngram.py"),
        ("kalam/tasks/causal.py",),
        ("kalam/web/connections.py",),
    ],
    ids=lambda names: Path(names[0]).stem,
)
def test_a_change_of_meaning_reruns_the_rules_that_use_the_module(finished, finished_copy, names):
    check_modules(finished, finished_copy, names)


def test_a_change_of_meaning_in_any_module_changes_the_digests_of_the_rules_that_use_it(monkeypatch):
    """What Snakemake does with a digest, the tests above say."""
    rules, meaning = [name for name, *_ in RULES], code._meaning

    def digests() -> dict[str, str]:
        named = {rule: [IMPORTED_BY_NAME[rule]] if rule in IMPORTED_BY_NAME else [] for rule in rules}
        scripts = {rule: ROOT / "scripts" / f"{SCRIPTS[rule]}.py" for rule in rules}
        return {rule: code.digest_code(scripts[rule], *named[rule]) for rule in rules}

    before = digests()
    for name in modules():
        file = ROOT / name
        monkeypatch.setattr(code, "_meaning", lambda path, file=file: "another" if path == file else meaning(path))
        changed = {rule for rule, digest in digests().items() if digest != before[rule]}
        assert changed == {rule for rule in rules if name in files_under(ROOT, rule)}, name


def test_every_module_is_used_by_a_rule_or_only_by_the_rule_files(finished):
    """Were the reading of imports to find nothing, the tests above would expect nothing."""
    used = set().union(*(files_under(finished.folder, rule) for rule in SCRIPTS))
    left_out = tuple(name.replace(".", "/") for name in LEFT_OUT)
    unused = {name for name in modules(finished.folder) if not name.startswith(left_out)} - used
    # The digests above have one task, people call the others, and rule files the last.
    others = {f"kalam/tasks/{name}.py" for name in ("__init__", "masked", "instruct")} | {"kalam/training/padding.py"}
    others |= {"kalam/export/chat.py", "kalam/training/prune.py", "kalam/models/objections.py"}
    assert {name.split("/")[1] for name in unused - others} == {"configuration"}
    assert "kalam/training/loop.py" in files_under(finished.folder, "train_run")
    assert "kalam/training/loop.py" not in files_under(finished.folder, "score_run")


@cache
def files_under(folder: Path, rule: str) -> frozenset[str]:
    """The script of a rule and the modules of kalam it can import, but for those that cannot change what comes out;
    the standard library finds them in bytecode."""
    finder = ModuleFinder(path=[str(folder)], excludes=LEFT_OUT)
    script = folder / "scripts" / f"{SCRIPTS[rule]}.py"
    finder.run_script(str(script))
    if rule in IMPORTED_BY_NAME:
        finder.import_hook(IMPORTED_BY_NAME[rule])
    found = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    return frozenset(str(file.relative_to(folder)) for file in {script, *found})


@cache
def rules_after(finished: Project) -> dict[str, frozenset[str]]:
    """For each rule of the workflow all rules that read, directly or not, what it makes."""
    graph = finished.run("--rulegraph").output
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    edges = {(names[one], names[other]) for one, other in re.findall(r"(\d+) -> (\d+)", graph) if names[other] != "all"}

    def after(rule: str) -> Iterator[str]:
        for one, other in edges:
            if one == rule:
                yield other
                yield from after(other)

    return {rule: frozenset(after(rule)) for rule in names.values() if rule != "all"}
