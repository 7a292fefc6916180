"""Sources of every kind become documents, with groups that no edit of a text moves."""

import copy
import gzip
import json
import os
import socket
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from collecting import BANGLA, FILES, HUB, POEM, READY, SITE, gather, html, outputs, write

from kalam.corpus.collect import write_collected
from kalam.data.inputs import source_inputs
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl

MISSING = ("null", "NaN", "Infinity", "-Infinity", "1e999", '""', '" "')


def test_a_text_file_is_a_document(tmp_path):
    write(tmp_path / "texts" / "b.txt", f"নদীর ধারে\r\n\r\n{POEM}\n")
    write(tmp_path / "texts" / "a.txt", f"\ufeff{POEM}\n\nআরেক স্তবক।\n")
    write(tmp_path / "texts" / "c.txt", " \n")
    source = {**FILES, "paths": ["texts/*.txt"]}
    documents, dropped = gather({**source, "title": "first_line"}, tmp_path)
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
    plain, _ = gather(source, tmp_path)
    assert plain == [documents[0], {**documents[1], "text": f"নদীর ধারে\n\n{POEM}", "title": None}]


def test_a_document_may_be_a_line_of_a_text_file(tmp_path):
    write(tmp_path / "a.txt", f"\ufeff{BANGLA[0]}\r\n \n{BANGLA[1]}\u2028{BANGLA[2]}")
    write(tmp_path / "b.TXT.gz", gzip.compress(f"{BANGLA[3]}\n".encode()))
    source = {**FILES, "paths": ["a.txt", "*.gz"], "document": "line", "fields": {"text": "body", "group": "book"}}
    documents, dropped = gather(source, tmp_path)
    assert [(document["text"], document["group"]) for document in documents] == [
        (BANGLA[0], "kobita/a.txt#1"),
        (f"{BANGLA[1]}\u2028{BANGLA[2]}", "kobita/a.txt#3"),
        (BANGLA[3], "kobita/b.TXT.gz#1"),
    ]
    assert dropped == []
    assert {document["group"] for document in gather({**source, "group_by": "file"}, tmp_path)[0]} == {
        "kobita/a.txt",
        "kobita/b.TXT.gz",
    }


def test_a_text_file_may_be_in_an_old_encoding(tmp_path):
    text = "قال الشاعر إن القلم أصدق من السيف وأبقى في صفحات الكتب القديمة."
    write(tmp_path / "a.txt", text.encode("cp1256"))
    write(tmp_path / "b.txt", text.encode("utf-16"))
    assert [document["text"] for document in gather({**FILES, "paths": ["*.txt"]}, tmp_path)[0]] == [text, text]


def test_rows_become_documents_by_their_columns(tmp_path):
    rows = [
        {"body": POEM, "heading": "এক", "poet": "লালন", "url": "http://a.example/1", "licence": "PD", "book": 7},
        {"body": POEM, "heading": 2, "poet": "", "retrieved": "2021-01-01", "book": "গীত"},
        {"body": POEM, "heading": 1907.0, "book": 7.0},
        {"body": POEM, "heading": 0.5, "book": None, "group": ["no matter"]},
    ]
    write(tmp_path / "a.jsonl", rows)
    fields = {"text": "body", "title": "heading", "author": "poet", "group": "book"}
    documents, _ = gather({**FILES, "paths": ["a.jsonl"], "fields": fields}, tmp_path)
    columns = ("title", "author", "url", "licence", "retrieved", "group")
    assert [tuple(document[column] for column in columns) for document in documents] == [
        ("এক", "লালন", "http://a.example/1", "PD", "2020-02-23", "kobita/7"),
        ("2", "অজানা", None, "CC0", "2021-01-01", "kobita/গীত"),
        ("1907", "অজানা", None, "CC0", "2020-02-23", "kobita/7"),
        ("0.5", "অজানা", None, "CC0", "2020-02-23", "kobita/a.jsonl#4"),
    ]
    untitled = {"text": "body", "title": None, "group": None}
    documents, _ = gather({**FILES, "paths": ["a.jsonl"], "fields": untitled}, tmp_path)
    assert {document["title"] for document in documents} == {None} and len({d["group"] for d in documents}) == 4


def test_missing_values_are_none_however_they_are_written(tmp_path):
    rows = [f'{{"text": "{BANGLA[0]}", "author": {value}, "licence": {value}, "group": {value}}}' for value in MISSING]
    write(tmp_path / "a.jsonl", rows)
    documents, dropped = gather({**FILES, "paths": ["a.jsonl"]}, tmp_path)
    assert [(d["author"], d["licence"], d["group"]) for d in documents] == [
        ("অজানা", "CC0", f"kobita/a.jsonl#{number}") for number in range(1, len(MISSING) + 1)
    ]
    assert dropped == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"group": True}, "a.jsonl:2: column group: found bool; allowed is a string or a whole number"),
        ({"group": ["গীত"]}, "a.jsonl:2: column group: found list; allowed is a string or a whole number"),
        ({"group": 7.5}, "a.jsonl:2: column group: found float; allowed is a string or a whole number"),
        ({"group": {"book": 1}}, "a.jsonl:2: column group: found dict; allowed is a string or a whole number"),
        ({"group": "\ud83d"}, "a.jsonl:2: column group: found half a surrogate pair; allowed is Unicode"),
        ({"title": ["এক"]}, "a.jsonl:2: column title: found list; allowed is a string, a number or a date"),
        ({"author": False}, "a.jsonl:2: column author: found bool; allowed is a string, a number or a date"),
    ],
)
def test_what_can_be_no_group_and_no_title_is_told_by_line_and_type(tmp_path, row, message):
    write(tmp_path / "a.jsonl", [json.dumps({"text": POEM}), json.dumps({"text": POEM, **row})])
    with pytest.raises(InputError) as caught:
        gather({**FILES, "paths": ["a.jsonl"]}, tmp_path)
    assert str(caught.value) == f"source kobita: {message}"
    (field,) = row
    assert len(gather({**FILES, "paths": ["a.jsonl"], "fields": {field: None}}, tmp_path)[0]) == 2


def test_a_column_that_no_row_has_is_refused_naming_those_there(tmp_path):
    write(tmp_path / "a.jsonl", [{"body": POEM}, {"body": POEM, "title": "এক"}])
    for fields, wanted in (({}, "text"), ({"text": "body", "group": "book"}, "book")):
        with pytest.raises(InputError) as caught:
            gather({**FILES, "paths": ["a.jsonl"], "fields": fields, "max_records": 1}, tmp_path)
        found = f"a.jsonl: found no column {wanted}; those there are body, title"
        assert str(caught.value).endswith(found)
    late = {"text": "body", "group": "title"}
    assert len(gather({**FILES, "paths": ["a.jsonl"], "fields": late, "max_records": 1}, tmp_path)[0]) == 1


def test_a_parquet_file_s_times_are_dates_but_no_groups(tmp_path):
    day = datetime(2021, 5, 6, 7, 8, tzinfo=UTC)
    table = pyarrow.table({"text": [POEM], "retrieved": [day], "group": [day]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    source = {**FILES, "paths": ["a.parquet"]}
    with pytest.raises(InputError, match=r"a\.parquet:1: column group: found datetime; allowed is a string or a whole"):
        gather(source, tmp_path)
    documents, _ = gather({**source, "group_by": "document"}, tmp_path)
    assert documents[0]["retrieved"] == "2021-05-06T07:08:00+00:00"


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


@pytest.mark.parametrize("line", ["{", "[1]", '"text"', "{}{}", b'{"text": "\xff"}', b'{"text": "\xe0\xa6'])
def test_a_line_that_is_no_json_object_stops_with_file_and_line(tmp_path, line):
    body = json.dumps({"text": POEM}).encode() + b"\n\n" + (line if isinstance(line, bytes) else line.encode())
    write(tmp_path / "a.jsonl", body)
    with pytest.raises(InputError, match=r"^source kobita: .*a\.jsonl:3: "):
        gather({**FILES, "paths": ["a.jsonl"]}, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": ["a.txt", "none/*.txt"]}, "source kobita: paths: 'none/*.txt' matches no file"),
        ({"paths": ["a.*"]}, "source kobita: paths: a.pdf: only .jsonl, .json, .csv, .tsv, .parquet, .txt, .html"),
        (
            {"paths": ["a.txt"], "fields": {"text": None}},
            "source kobita: fields: text: found null; allowed is the name",
        ),
        ({"paths": ["a.txt"], "fields": {"body": "text"}}, "source kobita: fields: 'body' is no field of these rows"),
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
    figures = write_collected(
        source, "kobita", "documents", "bn", 20, tmp_path, tmp_path / "store", **outputs(tmp_path)
    )
    assert figures == {"read": 3, "kept": 1, "dropped": {"no text": 1, "text is not a string": 1}}
    assert read_json(outputs(tmp_path)["counts"]) == figures
    assert [row["row"] for row in read_jsonl(outputs(tmp_path)["dropped"])] == [2, 3]
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "dropped"),
    [("", "nothing, it is empty"), ("\n\n", "nothing, it is empty"), ('{"text": ""}\n', "no text (1)")],
)
def test_a_source_without_a_document_is_refused(tmp_path, content, dropped):
    write(tmp_path / "a.jsonl", content)
    source = {**FILES, "paths": ["a.jsonl"]}
    with pytest.raises(InputError) as caught:
        write_collected(source, "kobita", "documents", "bn", 20, tmp_path, tmp_path / "store", **outputs(tmp_path))
    assert str(caught.value) == f"source kobita: no document; dropped: {dropped}"


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


def test_a_dataset_s_rows_are_checked_as_a_file_s_are(dataset):
    columns = {"text": BANGLA[:3], "author": [float("nan")] * 3, "group": [7.0, float("nan"), 7.0], "tags": [["x"]] * 3}
    (dataset / "table").mkdir()
    pyarrow.parquet.write_table(pyarrow.table(columns), dataset / "table" / "train.parquet")
    source = {**HUB, "dataset": "table"}
    documents, _ = gather(source, dataset)
    assert [document["group"] for document in documents] == ["kobita/7", "kobita/table#2", "kobita/7"]
    assert {document["author"] for document in documents} == {"অজানা"}
    for column, message in (
        ("tags", "table:1: column tags: found list; allowed is a string or a whole number"),
        ("book", "dataset: table: found no column book; those there are text, author, group, tags"),
    ):
        with pytest.raises(InputError) as caught:
            gather({**source, "fields": {"group": column}}, dataset)
        assert str(caught.value) == f"source kobita: {message}"


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
    write(tmp_path / "texts" / "c.pdf", POEM)
    with pytest.raises(
        InputError, match=r"^paths: texts/c\.pdf: only \.jsonl, .* files are read, also \.gz and \.zst$"
    ):
        source_inputs({**FILES, "paths": ["texts/*"]}, tmp_path)
    with pytest.raises(InputError, match="serve: 'none' is no folder with files"):
        source_inputs({**SITE, "serve": "none"}, tmp_path)


def test_asking_for_the_files_of_a_source_loads_nothing_heavy():
    heavy = {"trafilatura", "lxml", "urllib3", "datasets", "pyarrow", "protego", "charset_normalizer"}
    for module in ("kalam.data.inputs", "kalam.corpus.collect"):
        code = f"import {module}, sys; print(*sorted({heavy} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_settings_are_left_as_they_were(tmp_path):
    write(tmp_path / "a.txt", POEM)
    source = {**FILES, "paths": ["a.txt"]}
    before = copy.deepcopy(source)
    gather(source, tmp_path)
    assert source == before


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


NO_FILES = {
    "a folder": Path.mkdir,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": socket_at,
}


@pytest.fixture
def texts(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)  # for the name of a socket may not be long
    write(tmp_path / "texts" / "a.txt", POEM)
    return Path("texts")


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_named(texts, kind):
    for name in ("b.txt", "b.jsonl.gz"):
        NO_FILES[kind](texts / name)
        with pytest.raises(InputError) as caught:
            source_inputs({**FILES, "paths": ["texts/*"]}, ".")
        assert str(caught.value) == f"paths: texts/{name}: found {kind}; allowed is a file"
        with pytest.raises(InputError) as caught:
            gather({**FILES, "paths": [f"texts/{name}"]}, Path())
        assert str(caught.value) == f"source kobita: paths: texts/{name}: found {kind}; allowed is a file"
        (texts / name).rmdir() if kind == "a folder" else (texts / name).unlink()


def test_links_in_a_circle_are_links_to_nothing(texts):
    (texts / "b.txt").symlink_to("c.txt")
    (texts / "c.txt").symlink_to("b.txt")
    with pytest.raises(InputError, match=r"^paths: texts/b\.txt: found a link to nothing; allowed is a file"):
        source_inputs({**FILES, "paths": ["texts/*.txt"]}, ".")


def test_folders_are_passed_over_and_links_to_files_are_read(texts):
    write(texts / "deep" / "b.txt", BANGLA[0])
    (texts / "c.txt").symlink_to("deep/b.txt")
    source = {**FILES, "paths": ["texts/**"]}
    assert source_inputs(source, ".") == ["texts/a.txt", "texts/c.txt", "texts/deep/b.txt"]
    assert [document["text"] for document in gather(source, Path())[0]] == [POEM, BANGLA[0], BANGLA[0]]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({**FILES, "paths": ["texts/*.txt"]}, "paths"),
        ({**SITE, "serve": "texts"}, "serve"),
        ({**HUB, "dataset": "texts"}, "dataset"),
        ({**READY, "folder": "texts"}, "folder"),
    ],
)
def test_a_name_that_is_no_utf_8_is_named(texts, source, key):
    name = os.fsdecode("কবিতা".encode()[:-1]) + ".txt"
    (texts / name).touch()
    if key == "folder":
        (texts / "train").mkdir()
        (texts / name).rename(texts / "train" / name)
    with pytest.raises(InputError) as caught:
        source_inputs(source, ".")
    assert str(caught.value).startswith(f"{key}: 'texts/") and "\\udce0" in str(caught.value)
    assert str(caught.value).endswith(".txt': its name is not UTF-8; allowed are names that are")
    str(caught.value).encode()


@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.json"])
def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path, name):
    with open(tmp_path / name, "wb") as handle:
        handle.truncate(10**12)
    allowed = 2**29 if name == "a.json" else 10**8
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        gather({**FILES, "paths": [name]}, tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    more = ", and more as JSONL" if name == "a.json" else ""
    assert (
        str(caught.value)
        == f"source kobita: {tmp_path / name}: found more than {allowed} bytes; allowed are {allowed}{more}"
    )


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst"])
def test_the_limit_of_a_file_is_a_setting_and_of_what_is_unpacked(tmp_path, name):
    body = POEM.encode()
    pack = {".gz": gzip.compress, ".zst": lambda text: pyarrow.compress(text, codec="zstd", asbytes=True)}
    write(tmp_path / name, pack.get(Path(name).suffix, bytes)(body))
    source = {**FILES, "paths": [name], "max_bytes": len(body)}
    assert [document["text"] for document in gather(source, tmp_path)[0]] == [POEM]
    with pytest.raises(InputError, match=f"found more than {len(body) - 1} bytes; allowed are {len(body) - 1}"):
        gather({**source, "max_bytes": len(body) - 1}, tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_a_line_without_end_is_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr("kalam.files.opening.MOST_LINE", 1000)
    write(tmp_path / name, b"text\n" + bytes(2000) if name == "a.csv" else b"\n" + bytes(2000))
    with pytest.raises(InputError) as caught:
        gather({**FILES, "paths": [name], "document": "line"}, tmp_path)
    assert (
        str(caught.value)
        == f"source kobita: {tmp_path / name}:2: found a line of more than 1000 bytes; allowed are 1000"
    )


def test_rows_may_be_nested_as_deep_as_they_can_be_read(tmp_path):
    deep = "[" * 400 + "]" * 400
    rows = [f'{{"text": "{BANGLA[0]}", "more": {deep}}}', f'{{"text": "{BANGLA[1]}", "more": {{"a": {deep}}}}}']
    write(tmp_path / "a.jsonl", "\ufeff" + "\n".join(rows))
    write(tmp_path / "b.json", f"\ufeff[{','.join(rows)}]")
    documents, _ = gather({**FILES, "paths": ["*.json*"]}, tmp_path)
    assert [document["text"] for document in documents] == BANGLA[:2] * 2
    for name, body in (("c.jsonl", "\n" + "[" * 10**6), ("c.json", '{"a":' * 10**6)):
        write(tmp_path / name, body)
        with pytest.raises(InputError, match=r"c\.jsonl?:(2:)? not JSON: maximum recursion depth exceeded"):
            gather({**FILES, "paths": [name]}, tmp_path)


def test_nested_results_are_no_trace(tmp_path):
    write(tmp_path / "a.json", "[" * 10**6)
    with pytest.raises(InputError, match=r"a\.json: not JSON in UTF-8: maximum recursion"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a\.json:1: not a line of JSON in UTF-8: maximum recursion"):
        list(read_jsonl(tmp_path / "a.json"))
