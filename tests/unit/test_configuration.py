"""The configuration: complete, or refused in one line."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from kalam.configuration.datasets import parts
from kalam.configuration.project import candidates
from kalam.configuration.resolve import load_schema, resolve
from kalam.files.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = load_schema(ROOT / "config" / "schema.yaml")
CONFIGS = [ROOT / "config" / "config.yaml", *sorted((ROOT / "config" / "full").glob("*.yaml"))]
SMALL = """
projects:
  bangla:
    language: bn
    datasets:
      text:
        sources:
          news: {kind: files, register: prose, paths: [news.jsonl]}
          songs: {kind: files, register: verse, paths: [songs.txt]}
    models:
      small:
        kind: scratch
        parts: [prose]
        architecture: {model_type: llama, hidden_size: 64}
        training: {steps: 10, learning_rate: 1.0e-3}
      large: {kind: hub, repository: a/b, revision: 0123456789012345678901234567890123456789}
    runs:
      adapt:
        task: causal
        base: best
        parts: [verse]
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
MORE = {"kind": "extended", "base": "small", "parts": ["verse"]}
MASKED = {"kind": "scratch", "task": "masked", "parts": ["prose"], "architecture": {"model_type": "xlm-roberta"}}
HEX = "^[0-9a-f]{40}$"
# What is wrong, and what the line says after `config: projects.bangla`.
WRONG = [
    ({"language": "xx"}, ".language: found 'xx'; allowed is one of "),
    ({"language": "xx"}, "; a new one is a row in config/languages.yaml"),
    ({"langauge": "bn"}, ": unknown key langauge; allowed are candidates, datasets, evaluation, exports, language, "),
    ({"datasets__text__sources": None}, ".datasets.text: missing key sources"),
    ({"datasets__text__sources": {}}, ".datasets.text.sources: found {}; allowed is at least one entry"),
    (
        {"datasets__text__sources__News": {}},
        ".datasets.text.sources: found 'News'; allowed is text of the form ^[a-z0-9]",
    ),
    (
        {"datasets__text__sources__news__kind": "fiels"},
        ".datasets.text.sources.news.kind: found 'fiels'; allowed is one of files, hub, site",
    ),
    ({"datasets__text__sources__news__kind": None}, ".datasets.text.sources.news: missing key kind"),
    ({"datasets__text__sources__news__paths": None}, ".datasets.text.sources.news: missing key paths"),
    (
        {"datasets__text__sources__news__paths": "news.jsonl"},
        ".paths: found 'news.jsonl'; allowed is a value of type array",
    ),
    (
        {"datasets__text__sources__news__document": "line", "datasets__text__sources__news__title": "first_line"},
        ".datasets.text.sources.news.title: found first_line; allowed is none where document is line",
    ),
    (
        {"datasets__text__sources__news__delay": 1},
        ".datasets.text.sources.news: found delay; allowed only where kind is site",
    ),
    (
        {"datasets__text__sources__news__dealy": 1},
        ".datasets.text.sources.news: unknown key dealy; allowed are author, document, extraction, fields",
    ),
    (
        {"datasets__text__sources__site": SITE | {"delay": "1 s"}},
        ".datasets.text.sources.site.delay: found '1 s'; allowed is a value of type number",
    ),
    (
        {"datasets__text__sources__site": SITE | {"delay": float("nan")}},
        ".delay: found nan; allowed is a value of type number",
    ),
    (
        {"datasets__text__sources__site": SITE | {"start": ["ftp://a"]}},
        ".start.0: found 'ftp://a'; allowed is text of the form ^https?",
    ),
    (
        {"datasets__text__sources__site": SITE | {"start": ["https://a.example/x@y", "http://me:secret@a.example/"]}},
        ".start.1: found 'http://...@a.example/'; allowed is text of the form ^https?",
    ),
    (
        {"datasets__text__sources__news__fields": {"txet": "t"}},
        ".fields: found 'txet'; allowed is one of answer, author, group, ",
    ),
    (
        {"datasets__text__cleaning__max_symbols": 1.5},
        ".datasets.text.cleaning.max_symbols: found 1.5; allowed is 1 or less",
    ),
    ({"datasets__text__splits__test": 0}, ".datasets.text.splits.test: found 0; allowed is more than 0"),
    (
        {"datasets__text__splits__test": 2.5},
        ".datasets.text.splits.test: found 2.5; allowed is a share below 1 or a whole number",
    ),
    (
        {"datasets__text__splits__test": 0.9},
        ".datasets.text.splits: validation and test take 1 of each part; allowed is less than 1",
    ),
    ({"models__large__revision": "main"}, f".models.large.revision: found 'main'; allowed is text of the form {HEX}"),
    ({"models__small__repository": "a/b"}, ".models.small: found repository; allowed only where kind is hub"),
    ({"models__small__tokenizer": {"vocabulary": 100}}, ".vocabulary: found 100; allowed are 260 and more"),
    (
        {"models__small__parts": ["song"]},
        ".models.small.parts: found song, which is no register of a source; allowed are pros",
    ),
    ({"models__more": MORE | {"base": "huge"}}, ".models.more.base: found huge; allowed are models that are not ext"),
    ({"models__more": MORE | {"base": "more"}}, ".models.more.base: found more; allowed are models that are not ext"),
    ({"models__more": MORE | {"task": "masked"}}, ".models.more.task: found masked; allowed is causal, that of its b"),
    ({"models__more": MORE | {"pieces": 0}}, ".models.more.pieces: found 0; allowed is 1 or more"),
    ({"models__best": {"kind": "local", "path": "x"}}, ".models: found best, a word of the settings; allowed is"),
    ({"models__lowest": {"kind": "local", "path": "x"}}, ".models: found lowest, a word of the settings; allowed is"),
    ({"evaluation__stride": 4096}, ".evaluation.stride: found 4096; allowed is up to context, 2048"),
    ({"candidates__models": ["huge"]}, ".candidates.models: found huge, which is no model; allowed are small, large"),
    (
        {"candidates__models": ["small", "small"]},
        ".candidates.models: found ['small', 'small']; allowed is each entry onc",
    ),
    ({"candidates__choice": "huge"}, ".candidates.choice: found huge; allowed are lowest, small, large"),
    (
        {"runs__adapt__base": "huge"},
        ".runs.adapt.base: found huge; allowed where the task is causal are best, small, large",
    ),
    (
        {"runs__adapt__parts": ["song"]},
        ".runs.adapt.parts: found song, which is no register of a source; allowed are prose, ",
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
    ({"runs__adapt__training__warmup": 1.5}, ".training.warmup: found 1.5; allowed is a share below 1 or a whole"),
    ({"runs__adapt__training__warmup": 30}, ".training.warmup: found 30; allowed are up to 20, the steps, or a share"),
    ({"runs__adapt__base": "adapt"}, ".runs.adapt.base: found adapt; allowed where the task is causal are best"),
    ({"runs__adapt__tuning": "full"}, ".runs.adapt.quantisation: found nf4; allowed is none where every weight"),
    ({"models__small__task": "masked"}, ".tokenizer.kind: found bytes; allowed is unigram where the task is masked"),
    (
        {"runs__adapt__task": "masked", "runs__adapt__base": "small"},
        ".runs.adapt.base: found small; allowed where the task is masked are none",
    ),
    ({"runs__adapt__dataset": "songs"}, ".runs.adapt.dataset: found songs; allowed are those of documents: text"),
    (
        {"datasets__text__strategies": {"all": ["news", "song"]}},
        ".datasets.text.strategies.all: found song; allowed are news, songs",
    ),
    (
        {"datasets__text__strategies": {"all": ["news"]}, "datasets__text__strategy": "some"},
        ".datasets.text.strategy: found some; allowed are all",
    ),
    (
        {"datasets__text__sources__ready": {"kind": "splits", "register": "prose"}},
        ".datasets.text.sources.ready: found folder and dataset, or neither; allowed is one of them",
    ),
    (
        {"datasets__text__sources__ready": {"kind": "splits", "register": "prose", "dataset": "a/b"}},
        ".datasets.text.sources.ready: missing key revision",
    ),
    (
        {"datasets__text__sources__news__fields": {"messages": "said"}},
        ".datasets.text.sources.news.fields: found messages; allowed for documents are text and those of all rows",
    ),
    (
        {
            "datasets__talk": {
                "rows": "conversations",
                "sources": {"a": {"kind": "site", "register": "x", "start": ["http://a/"]}},
            }
        },
        ".datasets.talk.sources.a.kind: found site; allowed for conversations are files, hub, splits",
    ),
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
    (
        {"models__small__task": "masked", "candidates__models": ["small"]},
        "found small, whose task is masked; allowed are tasks with",
    ),
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
        ({**small(), "setps": 3}, "config: the top level: unknown key setps; allowed are batch_size, data_dir, lear"),
        ({**small(), "steps": -3}, "config: steps: found -3; allowed is 1 or more"),
        ({**small(), "micro_batch": 0}, "config: micro_batch: found 0; allowed is 1 or more"),
    ],
)
def test_so_is_what_is_wrong_at_the_top(config, message):
    with pytest.raises(InputError, match="^" + re.escape(message)):
        resolve(config, SCHEMA)


def test_a_register_that_nothing_is_trained_on_is_tested_on_and_a_word_says_so(caplog):
    config = resolve(small(datasets__text__sources__spare=SITE | {"register": "law"}), SCHEMA)
    project = config["projects"]["bangla"]
    assert parts(project["datasets"]["text"]) == ["prose", "verse", "law"]
    assert [section["parts"] for section in (project["models"]["small"], project["runs"]["adapt"])] == [
        ["prose"],
        ["verse"],
    ]
    path = "datasets.text.sources.spare.register"
    assert caplog.messages == [f"config: {path}: found law; models are tested on it, none is trained"]


def test_a_run_needs_some_model():
    with pytest.raises(InputError, match=r"runs\.adapt\.base: found best; allowed where the task is causal are none"):
        resolve(small(models={}, datasets__text__sources__news=None), SCHEMA)


def test_defaults_are_filled_in_at_every_depth_and_what_was_given_stays():
    given = small(runs__adapt__lora={"rank": 4})
    before = copy.deepcopy(given)
    config = resolve(given, SCHEMA)
    assert given == before
    project = config["projects"]["bangla"]
    assert config["seed"] == 20
    assert project["datasets"]["text"]["cleaning"]["duplicate_threshold"] == 0.8
    assert project["datasets"]["text"]["sources"]["news"]["group_by"] == "field"
    assert "delay" not in project["datasets"]["text"]["sources"]["news"]
    assert project["models"]["large"]["remote_code"] is False
    assert project["models"]["small"]["tokenizer"] == {"kind": "bytes", "vocabulary": 500}
    assert project["models"]["small"]["architecture"] == {"model_type": "llama", "hidden_size": 64}
    given = {"rank": 4, "alpha": 32, "dropout": 0.05, "targets": "all-linear"}
    assert given.items() <= project["runs"]["adapt"]["lora"].items()
    assert project["runs"]["adapt"]["training"]["context"] == 512
    assert parts(project["datasets"]["text"]) == ["prose", "verse"]
    assert candidates(project) == ["small", "large"]
    assert (project["candidates"]["dataset"], project["candidates"]["parts"]) == ("text", ["verse"])
    assert project["runs"]["adapt"]["dataset"] == "text"
    assert resolve(config, SCHEMA) == config


def test_a_default_written_out_and_settings_in_another_order_give_the_same():
    written = small(
        runs__adapt__training={"learning_rate": 1e-4, "warmup": 0.03, "steps": 20}, evaluation={"batch": 16}
    )
    assert str(resolve(written, SCHEMA)) == str(resolve(small(), SCHEMA))


def test_flat_keys_set_every_run_of_every_project_and_no_model():
    config = small(runs__second={"task": "causal", "base": "small", "parts": ["prose"], "training": None})
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
    flat = {"project": "other", "num_epochs": 1.5, "batch_size": 6, "max_records": 9, "sampling": "random"}
    resolved = resolve(config | flat, SCHEMA)["projects"]
    assert resolved["bangla"] == resolve(small(), SCHEMA)["projects"]["bangla"]
    training = resolved["other"]["runs"]["adapt"]["training"]
    assert (training["epochs"], training["steps"], training["batch"]) == (1.5, None, 6)
    text = resolved["other"]["datasets"]["text"]
    assert (text["max_records"], text["sampling"]) == (9, "random")
    assert {(s["max_records"], s["sampling"]) for s in text["sources"].values()} == {(9, "random")}
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


def test_two_projects_may_use_one_name_for_models_that_come_about_differently():
    config = small()
    other = small(models__small={"kind": "local", "path": "x"}, runs__adapt__parts=["prose", "verse"])
    config["projects"]["other"] = other["projects"]["bangla"]
    projects = resolve(config, SCHEMA)["projects"]
    assert [project["models"]["small"]["kind"] for project in projects.values()] == ["scratch", "local"]


STRATEGIES = {"datasets__text__strategies": {"modern": ["news"], "classical": ["songs"], "all": ["news", "songs"]}}


def settled(**flat) -> dict:
    return resolve(small(**STRATEGIES) | flat, SCHEMA)["projects"]["bangla"]


def test_where_nothing_is_compared_no_dataset_has_to_be_named():
    config = small(models__small=None, runs__adapt=None, datasets__songs={"sources": {"old": SITE}})
    del config["projects"]["bangla"]["models"], config["projects"]["bangla"]["runs"]
    assert "dataset" not in resolve(config, SCHEMA)["projects"]["bangla"]["candidates"]


def test_a_key_that_is_no_word_is_refused():
    with pytest.raises(InputError, match="config: found the key 1; allowed are words"):
        resolve(small(datasets__text__sources={1: SITE}), SCHEMA)


def test_a_strategy_says_which_sources_are_taken_and_parts_without_one_are_left_out():
    assert list(settled()["datasets"]["text"]["sources"]) == ["news", "songs"]
    project = settled(strategy="modern")
    assert list(project["datasets"]["text"]["sources"]) == ["news"]
    # The run named verse only, of which nothing is left: it takes what is there.
    assert project["runs"]["adapt"]["parts"] == project["models"]["small"]["parts"] == ["prose"]
    every = settled(strategy="all")
    assert (every["runs"]["adapt"]["parts"], every["models"]["small"]["parts"]) == (["verse"], ["prose"])
    config = small(**STRATEGIES, runs__adapt__parts=["prose", "verse"]) | {"strategy": "classical"}
    assert resolve(config, SCHEMA)["projects"]["bangla"]["runs"]["adapt"]["parts"] == ["verse"]


def test_a_strategy_that_would_do_nothing_is_refused_and_a_dataset_without_any_stays_as_it_is():
    with pytest.raises(
        InputError, match="config: strategy: found modern; allowed is none, as no dataset has strategies"
    ):
        resolve(small() | {"strategy": "modern"}, SCHEMA)
    with pytest.raises(InputError, match=r"datasets\.text\.strategy: found new; allowed are modern, classical, all"):
        settled(strategy="new")
    with pytest.raises(InputError, match=r"datasets\.text\.strategy: found new; allowed are none"):
        resolve(small(datasets__text__strategy="new"), SCHEMA)
    with pytest.raises(InputError, match=r"datasets\.text: found strategy modern and data_dir x; allowed is one of"):
        settled(strategy="modern", data_dir="x")
    config = small(**STRATEGIES)
    config["projects"]["other"] = small()["projects"]["bangla"]
    other = resolve(config | {"strategy": "modern"}, SCHEMA)["projects"]["other"]
    assert list(other["datasets"]["text"]["sources"]) == ["news", "songs"]


def test_a_folder_from_the_command_line_stands_in_place_of_the_sources():
    project = settled(data_dir="texts")
    (name, source), *_ = project["datasets"]["text"]["sources"].items()
    assert (name, source["kind"], source["folder"]) == ("data_dir", "splits", "texts")
    assert project["runs"]["adapt"]["parts"] == project["models"]["small"]["parts"] == ["data_dir"]
    # The same as if it had been written out.
    written = small(
        datasets__text__sources={"data_dir": {"kind": "splits", "register": "data_dir", "folder": "texts"}},
        models__small__parts=None,
        runs__adapt__parts=None,
    )
    expected = resolve(written, SCHEMA)["projects"]["bangla"]["datasets"]["text"]["sources"]
    assert str(project["datasets"]["text"]["sources"]) == str(expected)


def test_a_run_takes_the_one_dataset_of_its_kind_and_all_parts_unless_it_says_otherwise():
    config = small(runs__adapt__parts=None, datasets__songs={"sources": {"old": SITE | {"register": "old"}}})
    with pytest.raises(InputError, match=r"dataset: found none; allowed are those of documents: text, songs"):
        resolve(config, SCHEMA)
    section = config["projects"]["bangla"]
    section["models"]["small"] |= {"dataset": "text", "parts": ["prose", "verse"]}
    section["runs"]["adapt"] |= {"dataset": "songs"}
    with pytest.raises(
        InputError, match=r"runs\.adapt\.dataset: found songs; allowed is text, the documents that small is trained on"
    ):
        resolve(config, SCHEMA)
    section["candidates"] = {"models": ["large"]}
    project = resolve(config, SCHEMA)["projects"]["bangla"]
    assert (project["runs"]["adapt"]["parts"], project["candidates"]["dataset"]) == (["old"], "songs")


def test_candidates_are_compared_on_documents_whatever_other_rows_runs_read():
    talk = {"rows": "conversations", "sources": {"a": {"kind": "files", "register": "asked", "paths": ["a.csv"]}}}
    config = small(datasets__talk=talk)
    section = config["projects"]["bangla"]
    chat = {"task": "instruct", "base": "best", "training": {"steps": 20, "learning_rate": 1e-4}}
    section["runs"] = {"chat": chat, **section["runs"]}
    resolved = resolve(config, SCHEMA)["projects"]["bangla"]
    assert resolved["candidates"]["dataset"] == "text"
    assert (resolved["runs"]["chat"]["dataset"], resolved["runs"]["chat"]["parts"]) == ("talk", ["asked"])
