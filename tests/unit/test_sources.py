"""Sources of every kind become documents, with groups that no edit of a text moves."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from collecting import FILES, HUB, POEM, SITE, gather, html, outputs, write

from kalam.corpus.collect import write_collected
from kalam.data.inputs import source_inputs
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl


def test_a_text_file_is_a_document(tmp_path):
    write(tmp_path / "texts" / "b.txt", f"নদীর ধারে\r\n\r\n{POEM}\n")
    write(tmp_path / "texts" / "a.txt", f"\ufeff{POEM}\n\nআরেক স্তবক।\n")
    write(tmp_path / "texts" / "c.txt", " \n")
    documents, dropped = gather({**FILES, "paths": ["texts/*.txt"]}, tmp_path)
    assert documents == [
        {
            "text": f"{POEM}\n\nআরেক স্তবক।",
            "source": "kobita",
            "register": "verse",
            "url": None,
            "title": None,
            "author": "অজানা",
            "licence": "CC0",
            "retrieved": "2020-02-23",
            "language": "bn",
            "group": "kobita/texts/a.txt",
        },
        {**documents[0], "text": POEM, "title": "নদীর ধারে", "group": "kobita/texts/b.txt"},
    ]
    assert dropped == [{"source": "kobita", "path": "texts/c.txt", "reason": "no text"}]


def test_a_text_file_may_be_in_an_old_encoding(tmp_path):
    text = "قال الشاعر إن القلم أصدق من السيف وأبقى في صفحات الكتب القديمة."
    write(tmp_path / "a.txt", text.encode("cp1256"))
    write(tmp_path / "b.txt", text.encode("utf-16"))
    assert [document["text"] for document in gather({**FILES, "paths": ["*.txt"]}, tmp_path)[0]] == [text, text]


def test_rows_become_documents_by_their_columns(tmp_path):
    rows = [
        {"body": POEM, "heading": "এক", "poet": "লালন", "url": "http://a.example/1", "licence": "PD", "book": 7},
        {"body": POEM, "heading": 2, "poet": "", "retrieved": "2021-01-01", "book": "গীত"},
        {"body": POEM, "heading": ["x"], "book": None},
    ]
    write(tmp_path / "a.jsonl", rows)
    fields = {"text": "body", "title": "heading", "author": "poet", "group": "book"}
    documents, _ = gather({**FILES, "paths": ["a.jsonl"], "fields": fields}, tmp_path)
    columns = ("title", "author", "url", "licence", "retrieved", "group")
    assert [tuple(document[column] for column in columns) for document in documents] == [
        ("এক", "লালন", "http://a.example/1", "PD", "2020-02-23", "kobita/7"),
        ("2", "অজানা", None, "CC0", "2021-01-01", "kobita/গীত"),
        (None, "অজানা", None, "CC0", "2020-02-23", "kobita/a.jsonl#3"),
    ]


@pytest.mark.parametrize(
    ("rule", "groups"),
    [
        ("field", ["kobita/গীত", "kobita/a.jsonl#3", "kobita/গীত"]),
        ("file", ["kobita/a.jsonl", "kobita/a.jsonl", "kobita/b.jsonl"]),
        ("document", ["kobita/a.jsonl#1", "kobita/a.jsonl#3", "kobita/b.jsonl#1"]),
    ],
)
def test_groups_follow_the_rule_and_not_the_text(tmp_path, rule, groups):
    source = {**FILES, "paths": ["*.jsonl"], "group_by": rule}
    for text in (POEM, POEM + "!"):
        write(tmp_path / "a.jsonl", [{"text": text, "group": "গীত"}, "", {"text": text}])
        write(tmp_path / "b.jsonl", [{"text": text, "group": "গীত"}])
        assert [document["group"] for document in gather(source, tmp_path)[0]] == groups


def test_rows_without_a_usable_text_are_dropped_by_line(tmp_path):
    rows = ['{"text": "\\ud83d"}', "", {"text": None}, {"text": " \n"}, {"text": 7}, {"title": "ক"}, {"text": POEM}]
    write(tmp_path / "a.jsonl", rows)
    documents, dropped = gather({**FILES, "paths": ["a.jsonl"]}, tmp_path)
    assert len(documents) == 1
    assert [(row["row"], row["reason"], row["detail"]) for row in dropped] == [
        (1, "text is not Unicode", "half a surrogate pair"),
        (3, "no text", "column text"),
        (4, "no text", "column text"),
        (5, "text is not a string", "int"),
        (6, "no text", "column text"),
    ]


@pytest.mark.parametrize("line", ["{", "[1]", b'{"text": "\xff"}'])
def test_a_line_that_is_no_json_object_stops_with_file_and_line(tmp_path, line):
    body = json.dumps({"text": POEM}).encode() + b"\n\n" + (line if isinstance(line, bytes) else line.encode())
    write(tmp_path / "a.jsonl", body)
    with pytest.raises(InputError, match=r"^source kobita: .*a\.jsonl:3: "):
        gather({**FILES, "paths": ["a.jsonl"]}, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": ["a.txt", "none/*.txt"]}, "source kobita: paths: 'none/*.txt' matches no file"),
        ({"paths": ["a.*"]}, "source kobita: paths: a.pdf: only .txt, .jsonl, .html, .htm, .xhtml files are read"),
        ({"paths": ["a.txt"], "fields": {"body": "text"}}, "source kobita: fields: 'body' is no field of a document"),
        ({"paths": ["."]}, "source kobita: paths: '.' matches no file"),
    ],
)
def test_wrong_settings_are_told_by_key_and_value(tmp_path, change, message):
    write(tmp_path / "a.txt", POEM)
    write(tmp_path / "a.pdf", POEM)
    with pytest.raises(InputError) as caught:
        gather({**FILES, **change}, tmp_path)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_html_files_are_extracted(tmp_path):
    write(tmp_path / "a.html", html(POEM, "শেষ স্তবক একটি মাত্র পঙ্‌ক্তিতে।"))
    write(tmp_path / "b.xhtml", "<html><body><script>x</script></body></html>")
    documents, dropped = gather({**FILES, "paths": ["*.*ml"]}, tmp_path)
    assert documents[0]["text"] == f"{POEM}\n\nশেষ স্তবক একটি মাত্র পঙ্‌ক্তিতে।"
    assert (documents[0]["title"], documents[0]["group"]) == ("নদী", "kobita/a.html")
    assert dropped == [{"source": "kobita", "path": "b.xhtml", "reason": "no text"}]


def test_at_most_so_many_records_the_first_or_a_sample(tmp_path):
    rows = [{"text": f"{POEM} {number}"} for number in range(50)]
    write(tmp_path / "a.jsonl", [{"text": ""}, *rows])
    source = {**FILES, "paths": ["a.jsonl"], "max_records": 5}
    documents, _ = gather(source, tmp_path)
    assert [document["group"] for document in documents] == [f"kobita/a.jsonl#{n}" for n in range(2, 7)]
    source["sampling"] = "random"
    samples = [[document["group"] for document in gather(source, tmp_path, seed)[0]] for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    numbers = [int(group.split("#")[1]) for group in samples[0]]
    assert len(set(numbers)) == 5 and numbers == sorted(numbers)
    everything = {**source, "max_records": 500}
    assert len(gather(everything, tmp_path)[0]) == 50


def test_a_sample_stays_when_texts_change_and_rows_are_added(tmp_path):
    source = {**FILES, "paths": ["*.jsonl"], "max_records": 20, "sampling": "random"}
    write(tmp_path / "a.jsonl", [{"text": f"{POEM} {number}"} for number in range(100)])
    before = {document["group"] for document in gather(source, tmp_path)[0]}
    write(tmp_path / "a.jsonl", [{"text": f"{number} {POEM}"} for number in range(105)])
    after = {document["group"] for document in gather(source, tmp_path)[0]}
    assert len(before & after) >= 15


def test_counts_and_dropped_rows_are_written(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": POEM}, {"text": 3}, {}])
    source = {**FILES, "paths": ["a.jsonl"]}
    figures = write_collected(source, "kobita", "bn", 20, tmp_path, tmp_path / "store", **outputs(tmp_path))
    assert figures == {"read": 3, "kept": 1, "dropped": {"no text": 1, "text is not a string": 1}}
    assert read_json(outputs(tmp_path)["counts"]) == figures
    assert [row["row"] for row in read_jsonl(outputs(tmp_path)["dropped"])] == [2, 3]
    assert not (tmp_path / "store").exists()


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> Path:
    # where another test has imported the libraries, the environment comes too late
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    rows = [{"body": f"{POEM} {n}", "poet": "লালন", "book": "গীত" if n < 2 else None} for n in range(4)]
    write(tmp_path / "hub" / "data" / "train.jsonl", [*rows, {"body": None}])
    config = "---\nconfigs:\n- config_name: poems\n  data_files:\n  - split: train\n    path: data/train.jsonl\n---\n"
    write(tmp_path / "hub" / "README.md", config)
    return tmp_path


def test_a_dataset_in_the_hub_s_layout_is_streamed(dataset):
    fields = {"text": "body", "author": "poet", "group": "book"}
    documents, dropped = gather({**HUB, "dataset": "hub", "subset": "poems", "fields": fields}, dataset)
    assert [document["text"] for document in documents] == [f"{POEM} {n}" for n in range(4)]
    assert [document["group"] for document in documents] == ["kobita/গীত"] * 2 + ["kobita/hub#3", "kobita/hub#4"]
    assert {document["author"] for document in documents} == {"লালন"}
    assert dropped == [{"source": "kobita", "dataset": "hub", "row": 5, "reason": "no text", "detail": "column body"}]
    assert source_inputs({**HUB, "dataset": "hub"}, dataset) == [
        str(dataset / "hub" / "README.md"),
        str(dataset / "hub" / "data" / "train.jsonl"),
    ]


@pytest.mark.parametrize(
    "change", [{"subset": "prose"}, {"split": "nope"}, {"dataset": "no-such/thing"}, {"dataset": "empty"}]
)
def test_a_dataset_that_cannot_be_had_is_told_in_one_line(dataset, change):
    (dataset / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        gather({**HUB, "dataset": "hub", **change}, dataset)
    assert str(caught.value).startswith("source kobita: dataset: ") and "\n" not in str(caught.value)


def test_the_files_of_a_source_are_known_without_reading_them(tmp_path):
    for name in ("texts/deep/b.txt", "texts/a.txt", "site/sub/b.html", "site/a.html"):
        write(tmp_path / name, POEM)
    files = source_inputs({**FILES, "paths": ["texts/**/*.txt", "texts/a.txt"]}, tmp_path)
    assert files == [str(tmp_path / "texts" / "a.txt"), str(tmp_path / "texts" / "deep" / "b.txt")]
    served = source_inputs(SITE, tmp_path)
    assert served == [str(tmp_path / "site" / "a.html"), str(tmp_path / "site" / "sub" / "b.html")]
    assert source_inputs({**SITE, "serve": None}, tmp_path) == []
    assert source_inputs({**HUB, "dataset": "owner/name"}, tmp_path) == []
    with pytest.raises(InputError, match="serve: 'none' is no folder with files"):
        source_inputs({**SITE, "serve": "none"}, tmp_path)


def test_asking_for_the_files_of_a_source_loads_nothing_heavy():
    heavy = {"trafilatura", "lxml", "urllib3", "datasets", "protego", "charset_normalizer"}
    for module in ("kalam.data.inputs", "kalam.corpus.collect"):
        code = f"import {module}, sys; print(*sorted({heavy} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_settings_are_left_as_they_were(tmp_path):
    write(tmp_path / "a.txt", POEM)
    source = {**FILES, "paths": ["a.txt"]}
    before = copy.deepcopy(source)
    gather(source, tmp_path)
    assert source == before
