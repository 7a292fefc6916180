"""What people get to see: the page, the figure, the card, the terminal; and what a hub is sent."""

import builtins
import json

import pytest

from kalam.export.card import card, write_card
from kalam.export.chat import talk
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
    "runs": {"adapt": {"dataset": "text", "parts": ["verse"], "training": {"steps": 7}}},
    "exports": {"repository": None},
}
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
    text = card("bangla", SECTION, "adapt", META, counts, metrics)
    assert text.startswith("---\nlanguage:\n- bn\nlicense: other\nbase_model: a/b\n")
    assert "| poems | verse | CC0-1.0 | A \\| B |" in text
    assert "| news | prose | unknown | unknown |" in text
    assert "secret" not in text, "a source that it was not trained on"
    assert f"a/b at {'c' * 40}; its licence holds for these weights too" in text
    assert "steps: 7" in text
    assert "| verse | this model | 1.3 | [1.2, 1.4] |" in text
    assert "| verse | floor | 2.5 | - |" in text
    assert "| verse | its base | 1.7 | [1.2, 1.4] |" in text
    assert "9.9" not in text
    assert all(f"## {part}" in text for part in ("Data and licences", "Recipe", "Metrics", "Intended use", "Limits"))

    write_json(tmp_path / "meta.json", META)
    for name, rows in (("statistics", counts), ("metrics", metrics)):
        write_tsv(tmp_path / f"{name}.tsv", rows, list(rows[0]))
    tables = tmp_path / "statistics.tsv", tmp_path / "metrics.tsv"
    write_card("bangla", SECTION, "adapt", tmp_path / "meta.json", *tables, tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == text


class Model:
    """Answers with what it was asked."""

    def __init__(self, **metadata):
        self.metadata = metadata

    def create_completion(self, prompt, **_):
        return [{"choices": [{"text": f" after {prompt}"}]}]

    def create_chat_completion(self, said, **_):
        parts = [{"role": "assistant"}, {"content": f"{len(said)} said"}]
        return [{"choices": [{"delta": part}]} for part in parts]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({}, ["one after one", "two after two"]), ({"tokenizer.chat_template": "x"}, ["1 said", "3 said"])],
)
def test_the_terminal_continues_or_chats_until_an_empty_line(monkeypatch, capsys, metadata, expected):
    lines = iter(["one", "two", ""])
    monkeypatch.setattr(builtins, "input", lambda _: next(lines))
    talk(Model(**metadata), 0.8, 10)
    assert capsys.readouterr().out.splitlines() == expected


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
