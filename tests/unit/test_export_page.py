"""What people get to see: the page, the figure, the card, the terminal; and what a hub is sent."""

import builtins
import json

import pytest

from kalam.export.card import card, write_card
from kalam.export.chat import talk
from kalam.export.licences import uses
from kalam.export.summary import draw, render, write_summary
from kalam.export.upload import upload
from kalam.files.errors import InputError
from kalam.files.jsonl import write_json
from kalam.files.tables import write_tsv

FIGURES = {
    "divergence": 2e-5,
    "agreement": 0.99,
    "bits_per_byte": 1.3698,
    "original_bits_per_byte": 1.3699,
    "bound": {"divergence": 0.002, "agreement": 0.98},
}
META = {"run": "adapt", "base": "small", "dtype": "fp16", "figures": FIGURES}
FILES = [
    {**FIGURES, "run": "adapt", "file": f"adapt.{kind}.gguf", "kind": kind, "size": size, "load_seconds": 0.2}
    for kind, size in (("f32", 12_000_000), ("q8_0", 3_300_000))
]
SECTION = {
    "language": "bn",
    "datasets": {
        "text": {
            "sources": {
                "poems": {"register": "verse", "licence": "CC0-1.0", "author": "A | B"},
                "news": {"register": "prose", "licence": None, "author": None},
                "other": {"register": "song", "licence": "secret", "author": None},
            },
        }
    },
    "models": {
        "small": {"kind": "hub", "repository": "a/b", "revision": "c" * 40, "dataset": "text", "parts": ["prose"]}
    },
    "runs": {"adapt": {"base": "small", "dataset": "text", "parts": ["verse"], "training": {"steps": 7}}},
    "exports": {"repository": None},
}
ORIGINS = {"small": {"licence": "apache-2.0"}}
METRIC = {"metric": "bits_per_byte", "split": "test", "part": "verse", "value": "1.3", "low": "1.2", "high": "1.4"}


def test_the_page_has_every_file_with_its_figures():
    text = render("bangla", [META], FILES)
    row = next(line for line in text.splitlines() if line.startswith("adapt.q8_0.gguf"))
    assert row.split() == ["adapt.q8_0.gguf", "3.3", "2e-05", "0.002", "99.00%", "98.0%", "1.3698", "1.3699", "0.2"]
    assert "merged, fp16" in text
    assert max(map(len, text.splitlines())) < 130


def test_the_files_of_the_page_are_those_that_say_they_are_of_the_run(tmp_path):
    """A run's name may have dots, and one may begin with another."""
    runs = ("adapt", "adapt.more")
    models = [tmp_path / run / "meta.json" for run in runs]
    files = [tmp_path / f"{run}.q8_0.json" for run in runs]
    for run, model, file in zip(runs, models, files, strict=True):
        write_json(model, META | {"run": run})
        write_json(file, FILES[1] | {"run": run, "file": f"{run}.q8_0.gguf"})
    text = write_summary("bangla", models, reversed(files), tmp_path / "exports.txt", tmp_path / "exports.svg")
    assert (tmp_path / "exports.txt").read_text() == text
    parts = text.split("\n\nRun ")[1:]
    assert [part.split(",")[0] for part in parts] == list(runs)
    rows = [[line.split()[0] for line in part.splitlines() if ".gguf" in line] for part in parts]
    assert rows == [["adapt.q8_0.gguf"], ["adapt.more.q8_0.gguf"]]
    figure = (tmp_path / "exports.svg").read_text()
    assert figure.count("<!-- adapt -->") == figure.count("<!-- adapt.more -->") == 1


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in ("one.svg", "two.svg"):
        draw([*FILES, FILES[0] | {"kind": "adapter"}], "bangla", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_the_card_says_what_it_was_made_of(tmp_path):
    metrics = [
        METRIC | {"system": "adapt", "role": "adapted"},
        METRIC | {"system": "floor", "role": "floor", "value": "2.5", "low": ""},
        METRIC | {"system": "small", "role": "base", "value": "1.7"},
        METRIC | {"system": "x", "role": "candidate", "value": "9.9"},
        METRIC | {"system": "adapt", "role": "adapted", "split": "validation", "value": "9.9"},
        METRIC | {"system": "adapt", "role": "adapted", "metric": "accuracy", "value": "9.9"},
    ]
    counts = [{"register": "verse", "documents": "3"}]
    text = card("bangla", SECTION, "adapt", META, ORIGINS, uses(SECTION, "adapt", "small", {}), counts, metrics)
    named = (
        "license: other\nlicense_name: apache-2.0-and-cc0-1.0-and-unknown\nlicense_link: README.md#data-and-licences"
    )
    assert text.startswith(f"---\nlanguage:\n- bn\n{named}\nbase_model: a/b\n")
    assert "| run adapt | poems | verse | CC0-1.0 | A \\| B |" in text
    assert "| base small | news | prose | unknown | unknown |" in text
    assert "secret" not in text, "a source that it was not trained on"
    assert f"a/b at {'c' * 40}, whose licence (apache-2.0) holds for these weights too." in text
    assert "A pretrained model, adapted to verse, in fp16." in text
    assert "steps: 7" in text
    assert "| verse | this model | 1.3 | [1.2, 1.4] |" in text
    assert "| verse | floor | 2.5 | - |" in text
    assert "| verse | its base | 1.7 | [1.2, 1.4] |" in text
    assert "9.9" not in text
    assert all(f"## {part}" in text for part in ("Data and licences", "Recipe", "Metrics", "Intended use", "Limits"))

    for path, made in ((tmp_path / "meta.json", META), (tmp_path / "small" / "meta.json", ORIGINS["small"])):
        write_json(path, made)
    for name, rows in (("statistics", counts), ("metrics", metrics)):
        write_tsv(tmp_path / f"{name}.tsv", rows, list(rows[0]))
    tables = tmp_path / "statistics.tsv", tmp_path / "metrics.tsv"
    given = tmp_path / "meta.json", [tmp_path / "small" / "meta.json"], {}
    write_card("bangla", SECTION, "adapt", *given, *tables, tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == text


class Model:
    """Answers with what it was asked."""

    def __init__(self, **metadata):
        self.metadata = metadata

    def n_ctx(self):
        return 12

    def tokenize(self, text, add_bos, special):
        return [*b"^" * add_bos, *text]

    def create_completion(self, prompt, **_):
        if not isinstance(prompt, str):
            prompt = bytes(prompt).decode()
        if len(prompt) >= self.n_ctx():
            raise ValueError(f"Requested tokens ({len(prompt)}) exceed context window of 12")
        return [{"choices": [{"text": f" after {prompt}"}]}]

    def create_chat_completion(self, said, **_):
        if (size := sum(len(message["content"]) for message in said)) >= self.n_ctx():  # where llama.cpp's says so
            raise ValueError(f"Requested tokens ({size}) exceed context window of 12")
        parts = [{"role": "assistant"}, {"content": f"{len(said)} said"}]
        return [{"choices": [{"delta": part}]} for part in parts]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({}, ["one after one", "two after two"]), ({"tokenizer.chat_template": "x"}, ["1 said", "3 said"])],
)
def test_the_terminal_continues_or_chats_until_an_empty_line(monkeypatch, capsys, metadata, expected):
    monkeypatch.setattr(Model, "n_ctx", lambda _: 100)
    assert said(monkeypatch, capsys, ["one", "two"], **metadata) == expected


def said(monkeypatch, capsys, lines, **metadata):
    lines = iter([*lines, ""])
    monkeypatch.setattr(builtins, "input", lambda _: next(lines))
    talk(Model(**metadata), 0.8, 4)
    return capsys.readouterr().out.splitlines()


def test_of_a_line_longer_than_the_context_the_end_is_continued(monkeypatch, capsys):
    assert said(monkeypatch, capsys, ["abcdefghijklmnop", "one"]) == [
        "abcdefghijklmnop",
        "(17 tokens; the model sees 12, so the last 8 are continued)",
        " after ijklmnop",
        "one after one",
    ]


def test_of_a_talk_longer_than_the_context_the_oldest_turns_are_left_out(monkeypatch, capsys):
    told = said(monkeypatch, capsys, ["one", "two", "abcdefghijklmnop", "one"], **{"tokenizer.chat_template": "x"})
    assert told == [
        "1 said",
        "(the model sees 12 tokens: 1 of the oldest questions and their answers are left out)",
        "1 said",
        "(too much for the model, which sees 12 tokens in all; say less)",
        "",
        "1 said",
    ]


def test_a_hub_is_sent_the_folder_and_the_files_and_nothing_else(tmp_path, monkeypatch):
    sent = {}

    class Api:
        def create_repo(self, repository, private, exist_ok):
            sent["repository"] = (repository, private, exist_ok)

        def create_commit(self, repository, operations, commit_message):
            sent["files"] = [operation.path_in_repo for operation in operations]
            return type("Commit", (), {"oid": "abc"})

    folder = tmp_path / "adapt"
    folder.mkdir()
    for file in (folder / "meta.json", folder / "README.md", tmp_path / "adapt.q8_0.gguf"):
        file.write_text("x")
    with pytest.raises(InputError, match=r"exports.repository: found none; allowed is a name on the hub"):
        upload(None, folder, [], tmp_path / "uploaded.json")
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    upload("me/it", folder, [tmp_path / "adapt.q8_0.gguf"], tmp_path / "uploaded.json")
    assert sent == {"repository": ("me/it", True, True), "files": ["README.md", "adapt.q8_0.gguf"]}
    assert json.loads((tmp_path / "uploaded.json").read_text())["commit"] == "abc"


def test_a_hub_that_refuses_is_one_line(tmp_path):
    (tmp_path / "adapt").mkdir()
    with pytest.raises(InputError, match="me/it: the hub refused: "):
        upload("me/it", tmp_path / "adapt", [], tmp_path / "uploaded.json")
