"""The configuration: complete, or refused in one line."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from kalam.configuration.project import candidate_registers, candidates, registers
from kalam.configuration.resolve import load_schema, resolve
from kalam.files.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = load_schema(ROOT / "config" / "schema.yaml")
CONFIGS = [ROOT / "config" / "config.yaml", *sorted((ROOT / "config" / "full").glob("*.yaml"))]
SMALL = """
projects:
  bangla:
    language: bn
    sources:
      news: {kind: files, register: prose, paths: [news.jsonl]}
      songs: {kind: files, register: verse, paths: [songs.txt]}
    models:
      small:
        kind: scratch
        registers: [prose]
        architecture: {model_type: llama, hidden_size: 64}
        training: {steps: 10, learning_rate: 1.0e-3}
      large: {kind: hub, repository: a/b, revision: 0123456789012345678901234567890123456789}
    runs:
      adapt:
        task: causal
        base: best
        registers: [verse]
        training: {steps: 20, learning_rate: 1.0e-4}
"""


def small(**edits) -> dict:
    """A complete small configuration, changed at dotted paths below the project; None takes a key out."""
    config = yaml.safe_load(SMALL)
    for path, value in edits.items():
        *way, last = path.split("__")
        section = config["projects"]["bangla"]
        for key in way:
            section = section.setdefault(key, {})
        if value is None:
            del section[last]
        else:
            section[last] = value
    return config


SITE = {"kind": "site", "register": "prose", "start": ["https://a.example/"]}
MORE = {"kind": "extended", "base": "small", "registers": ["verse"]}
MASKED = {"kind": "scratch", "task": "masked", "registers": ["prose"], "architecture": {"model_type": "xlm-roberta"}}
HEX = "^[0-9a-f]{40}$"
# What is wrong, and what the line says after `config: projects.bangla`.
WRONG = [
    ({"language": "xx"}, ".language: found 'xx'; allowed is one of ar, bn, ta"),
    ({"langauge": "bn"}, ": unknown key langauge; allowed are candidates, cleaning, evaluation, exports, language, "),
    ({"sources": None}, ": missing key sources"),
    ({"sources": {}}, ".sources: found {}; allowed is at least one entry"),
    ({"sources__News": {}}, ".sources: found 'News'; allowed is text of the form ^[a-z0-9]"),
    ({"sources__news__kind": "fiels"}, ".sources.news.kind: found 'fiels'; allowed is one of files, hub, site"),
    ({"sources__news__kind": None}, ".sources.news: missing key kind"),
    ({"sources__news__paths": None}, ".sources.news: missing key paths"),
    ({"sources__news__paths": "news.jsonl"}, ".paths: found 'news.jsonl'; allowed is a value of type array"),
    ({"sources__news__delay": 1}, ".sources.news: found delay; allowed only where kind is site"),
    ({"sources__news__dealy": 1}, ".sources.news: unknown key dealy; allowed are author, extraction, fields, group_by"),
    ({"sources__site": SITE | {"delay": "1 s"}}, ".sources.site.delay: found '1 s'; allowed is a value of type number"),
    ({"sources__site": SITE | {"delay": float("nan")}}, ".delay: found nan; allowed is a value of type number"),
    (
        {"sources__site": SITE | {"start": ["ftp://a"]}},
        ".start.0: found 'ftp://a'; allowed is text of the form ^https?",
    ),
    ({"sources__news__fields": {"txet": "t"}}, ".fields: found 'txet'; allowed is one of author, group, licence, "),
    (
        {"sources__spare": SITE | {"register": "law"}},
        ".sources.spare.register: found law, which no model, run or candid",
    ),
    ({"cleaning__max_symbols": 1.5}, ".cleaning.max_symbols: found 1.5; allowed is 1 or less"),
    ({"splits__test": 0}, ".splits.test: found 0; allowed is more than 0"),
    ({"splits__test": 2.5}, ".splits.test: found 2.5; allowed is a share below 1 or a whole number of documents"),
    ({"splits__test": 0.9}, ".splits: validation and test take 1 of each register; allowed is less than 1"),
    ({"models__large__revision": "main"}, f".models.large.revision: found 'main'; allowed is text of the form {HEX}"),
    ({"models__small__repository": "a/b"}, ".models.small: found repository; allowed only where kind is hub"),
    ({"models__small__tokenizer": {"vocabulary": 100}}, ".vocabulary: found 100; allowed are 260 and more"),
    (
        {"models__small__registers": ["song"]},
        ".models.small.registers: found song, which no source has; allowed are pros",
    ),
    ({"models__more": MORE | {"base": "huge"}}, ".models.more.base: found huge; allowed are models that are not ext"),
    ({"models__more": MORE | {"base": "more"}}, ".models.more.base: found more; allowed are models that are not ext"),
    ({"models__more": MORE | {"task": "masked"}}, ".models.more.task: found masked; allowed is causal, that of its b"),
    ({"models__more": MORE | {"pieces": 0}}, ".models.more.pieces: found 0; allowed is 1 or more"),
    ({"models__best": {"kind": "local", "path": "x"}}, ".models: found best, which has a meaning of its own"),
    ({"evaluation__stride": 4096}, ".evaluation.stride: found 4096; allowed is up to context, 2048"),
    ({"candidates__models": ["huge"]}, ".candidates.models: found huge, which is no model; allowed are small, large"),
    (
        {"candidates__models": ["small", "small"]},
        ".candidates.models: found ['small', 'small']; allowed is each entry onc",
    ),
    ({"candidates__choice": "huge"}, ".candidates.choice: found huge; allowed are lowest, small, large"),
    ({"runs__adapt__base": "huge"}, ".runs.adapt.base: found huge, which is no model and no run; allowed are best"),
    (
        {"runs__adapt__registers": ["song"]},
        ".runs.adapt.registers: found song, which no source has; allowed are prose, ",
    ),
    ({"runs__adapt__task": "dance"}, ".runs.adapt.task: found 'dance'; allowed is one of "),
    (
        {"runs__adapt__lora": {"rank": 5, "initialisation": "orthogonal"}},
        ".runs.adapt.lora.rank: found 5; allowed is an even one for an orthogonal adapter",
    ),
    ({"runs__adapt__lora": {"rank": 0}}, ".runs.adapt.lora.rank: found 0; allowed is 1 or more"),
    ({"runs__adapt__training__steps": "many"}, ".training.steps: found 'many'; allowed is a value of type integer"),
    ({"runs__adapt__training__steps": 2.0}, ".training.steps: found 2.0; allowed is a value of type integer"),
    ({"runs__adapt__training__steps": True}, ".training.steps: found True; allowed is a value of type integer"),
    (
        {"runs__adapt__training__learning_rate": float("inf")},
        ".learning_rate: found inf; allowed is a value of type num",
    ),
    ({"runs__adapt__training__learning_rate": 0}, ".learning_rate: found 0; allowed is more than 0"),
    ({"runs__adapt__training__micro_batch": 0}, ".training.micro_batch: found 0; allowed is 1 or more"),
    ({"runs__adapt__training__epochs": 2}, ".runs.adapt.training: found steps 20 and epochs 2; allowed is one of them"),
    ({"runs__adapt__base": "adapt"}, ".runs.adapt.base: found adapt, which is no model and no run"),
    ({"runs__adapt__tuning": "full"}, ".runs.adapt.quantisation: found nf4; allowed is none where every weight"),
    ({"models__small__task": "masked"}, ".tokenizer.kind: found bytes; allowed is unigram where the task is masked"),
    ({"models__floor": {"kind": "local", "path": "x"}}, ".models: found floor, which has a meaning of its own"),
    ({"runs__adapt__task": "masked"}, ".runs.adapt.task: found masked; allowed is causal, that of its base"),
    ({"runs__adapt__masked": {"share": 0.3}}, ".runs.adapt: found masked; allowed only where task is masked"),
    (
        {"runs__adapt__tuning": "full", "runs__adapt__quantisation": "none", "runs__adapt__lora": {"rank": 8}},
        ".runs.adapt: found lora; allowed only where tuning is lora",
    ),
    (
        {"runs__adapt__task": "masked", "runs__adapt__tuning": "half", "runs__adapt__lora": {"rank": 8}},
        ".runs.adapt.tuning: found 'half'; allowed is one of full, lora",
    ),
    (
        {"models__small": MASKED | {"masked": {"share": 0.3}}},
        ".models.small: found masked; allowed only where kind is scratch, task is masked, training is given",
    ),
    ({"models__small__task": "masked", "candidates__models": ["small"]}, "found small, which is no causal model"),
]


@pytest.mark.parametrize(("edits", "message"), WRONG, ids=[message.split(";")[0] for _, message in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_its_key_what_was_found_and_what_is_allowed(edits, message):
    with pytest.raises(InputError) as error:
        resolve(small(**edits), SCHEMA)
    line = str(error.value)
    assert line.startswith("config: projects.bangla")
    assert message in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "config: the top level: missing key projects"),
        ({"projects": {}}, "config: projects: found {}; allowed is at least one entry"),
        ({"projects": {"bangla": []}}, "config: projects.bangla: found []; allowed is a value of type object"),
        ({**small(), "setps": 3}, "config: the top level: unknown key setps; allowed are batch_size, learning_rate, "),
        ({**small(), "steps": -3}, "config: steps: found -3; allowed is 1 or more"),
        ({**small(), "micro_batch": 0}, "config: micro_batch: found 0; allowed is 1 or more"),
    ],
)
def test_so_is_what_is_wrong_at_the_top(config, message):
    with pytest.raises(InputError, match="^" + re.escape(message)):
        resolve(config, SCHEMA)


def test_a_run_needs_some_model():
    with pytest.raises(
        InputError, match=r"runs\.adapt\.base: found best, which is no model and no run; allowed are none"
    ):
        resolve(small(models={}, sources__news=None), SCHEMA)


def test_defaults_are_filled_in_at_every_depth_and_what_was_given_stays():
    given = small(runs__adapt__lora={"rank": 4})
    before = copy.deepcopy(given)
    config = resolve(given, SCHEMA)
    assert given == before
    project = config["projects"]["bangla"]
    assert config["seed"] == 20
    assert project["cleaning"]["duplicate_threshold"] == 0.8
    assert project["sources"]["news"]["group_by"] == "field"
    assert "delay" not in project["sources"]["news"]
    assert project["models"]["large"]["remote_code"] is False
    assert project["models"]["small"]["tokenizer"] == {"kind": "bytes", "vocabulary": 500}
    assert project["models"]["small"]["architecture"] == {"model_type": "llama", "hidden_size": 64}
    given = {"rank": 4, "alpha": 32, "dropout": 0.05, "targets": "all-linear"}
    assert given.items() <= project["runs"]["adapt"]["lora"].items()
    assert project["runs"]["adapt"]["training"]["context"] == 512
    assert registers(project) == ["prose", "verse"]
    assert (candidates(project), candidate_registers(project)) == (["small", "large"], ["verse"])
    assert resolve(config, SCHEMA) == config


def test_a_default_written_out_and_settings_in_another_order_give_the_same():
    written = small(
        runs__adapt__training={"learning_rate": 1e-4, "warmup": 0.03, "steps": 20}, evaluation={"batch": 16}
    )
    assert str(resolve(written, SCHEMA)) == str(resolve(small(), SCHEMA))


def test_flat_keys_set_every_run_of_every_project_and_no_model():
    config = small(runs__second={"task": "causal", "base": "small", "registers": ["prose"], "training": None})
    config["projects"]["bangla"]["runs"]["second"]["training"] = {"steps": 1, "learning_rate": 1}
    config["projects"]["other"] = copy.deepcopy(config["projects"]["bangla"])
    flat = {"steps": 7, "learning_rate": 0.5, "lora_rank": 3, "micro_batch": 2, "seed": 9}
    resolved = resolve(config | flat, SCHEMA)
    assert resolved.keys() == {"projects", "seed"}
    assert resolved["seed"] == 9
    for project in resolved["projects"].values():
        for run in project["runs"].values():
            training = run["training"]
            assert (training["steps"], training["learning_rate"], training["micro_batch"]) == (7, 0.5, 2)
            assert run["lora"]["rank"] == 3
        assert project["models"]["small"]["training"]["steps"] == 10


def test_a_run_without_an_adapter_has_no_settings_of_one():
    whole = small(runs__adapt__tuning="full", runs__adapt__quantisation="none") | {"lora_rank": 3, "steps": 7}
    run = resolve(whole, SCHEMA)["projects"]["bangla"]["runs"]["adapt"]
    assert "lora" not in run and run["training"]["steps"] == 7


def test_flat_keys_for_one_project_leave_the_others_alone():
    config = small()
    config["projects"]["other"] = copy.deepcopy(config["projects"]["bangla"])
    flat = {"project": "other", "num_epochs": 1.5, "batch_size": 6, "max_records": 9, "strategy": "random"}
    resolved = resolve(config | flat, SCHEMA)["projects"]
    assert resolved["bangla"] == resolve(small(), SCHEMA)["projects"]["bangla"]
    training = resolved["other"]["runs"]["adapt"]["training"]
    assert (training["epochs"], training["steps"], training["batch"]) == (1.5, None, 6)
    assert {(s["max_records"], s["strategy"]) for s in resolved["other"]["sources"].values()} == {(9, "random")}
    with pytest.raises(InputError, match="config: project: found none; allowed are bangla, other"):
        resolve(config | {"project": "none"}, SCHEMA)


def test_a_length_from_the_command_line_is_the_same_as_one_in_the_file():
    given = resolve(small() | {"num_epochs": 2}, SCHEMA)
    config = small(runs__adapt__training__epochs=2)
    del config["projects"]["bangla"]["runs"]["adapt"]["training"]["steps"]
    assert str(resolve(config, SCHEMA)) == str(given)


def test_two_lengths_from_the_command_line_are_refused():
    with pytest.raises(InputError, match="found steps and num_epochs; allowed is one of them"):
        resolve(small() | {"num_epochs": 2, "steps": 3}, SCHEMA)
    config = small(runs__adapt__training__epochs=2)
    del config["projects"]["bangla"]["runs"]["adapt"]["training"]["steps"]
    training = resolve(config | {"steps": 3}, SCHEMA)["projects"]["bangla"]["runs"]["adapt"]["training"]
    assert (training["steps"], training["epochs"]) == (3, None)


def test_a_run_goes_on_with_the_adapter_of_another():
    first = copy.deepcopy(small()["projects"]["bangla"]["runs"]["adapt"])
    resolve(small(runs__second=first | {"base": "adapt", "lora": {"dropout": 0.2}}), SCHEMA)
    with pytest.raises(InputError, match=r"runs\.second\.lora\.rank: found 3; allowed is 16, as in adapt, its base"):
        resolve(small(runs__second=first | {"base": "adapt", "lora": {"rank": 3}}), SCHEMA)
    circle = small(runs__second=first | {"base": "adapt"}, runs__adapt__base="second")
    with pytest.raises(InputError, match=r"runs\.adapt\.base: found second, which itself begins with adapt"):
        resolve(circle, SCHEMA)


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_the_configurations_that_come_with_the_project_are_complete(path):
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolved = resolve(config, SCHEMA)
    assert resolved["projects"].keys() == config["projects"].keys()
    assert resolve(resolved, SCHEMA) == resolved


def test_one_name_for_a_scratch_model_here_and_a_fetched_one_there_is_refused():
    config = small()
    other = small(models__small={"kind": "local", "path": "x"}, runs__adapt__registers=["prose", "verse"])
    config["projects"]["other"] = other["projects"]["bangla"]
    with pytest.raises(InputError, match=r"projects\.other\.models\.small\.kind: found local, while bangla"):
        resolve(config, SCHEMA)
