"""Sources of every kind become documents, with groups that no edit of a text moves."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kalam.corpus.inputs import source_inputs
from kalam.corpus.sources import collect, write_collected
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl

COMMON = {
    "register": "verse",
    "licence": "CC0",
    "author": "অজানা",
    "retrieved": None,
    "max_records": None,
    "strategy": "first",
    "extraction": "article",
}
FILES = {**COMMON, "kind": "files", "fields": {}, "group_by": "field", "retrieved": "2020-02-23"}
HUB = {**COMMON, "kind": "hub", "revision": "main", "subset": None, "split": "train", "fields": {}, "group_by": "field"}
SITE = {
    **COMMON,
    "kind": "site",
    "start": ["http://bangla.localhost/"],
    "serve": "site",
    "max_pages": 100,
    "max_depth": 8,
    "delay": 0,
    "retries": 0,
    "timeout": 5,
    "private_addresses": False,
    "user_agent": "kalam-crawler",
}
POEM = "র‍্যাব এল ভোরের আগে নদীর ধারে,\nশাঁখ বাজে দূরে, বৃষ্টি পড়ে বারে বারে।"


def write(path: Path, text: str | bytes | list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(text, list):
        text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in text)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", errors="surrogatepass"))
    return path


def gather(source: dict, root: Path, seed: int = 20) -> tuple[list[dict], list[dict]]:
    """(documents, what was dropped and why)"""
    documents, dropped = [], []
    for item, reason in collect(source, "kobita", "bn", seed, root, root / "store"):
        documents.append(item) if reason is None else dropped.append({**item, **reason})
    return documents, dropped


def html(*paragraphs: str, links: tuple[str, ...] = (), title: str = "নদী") -> str:
    anchors = "".join(f'<a href="{link}">পরের</a> ' for link in links)
    body = "".join(f"<p>{text.replace(chr(10), '<br>')}</p>" for text in paragraphs)
    head = f"<!DOCTYPE html><html><head><title>{title}</title></head>"
    return f"{head}<body><nav>{anchors}</nav><article>{body}</article></body></html>"


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
    source["strategy"] = "random"
    samples = [[document["group"] for document in gather(source, tmp_path, seed)[0]] for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    numbers = [int(group.split("#")[1]) for group in samples[0]]
    assert len(set(numbers)) == 5 and numbers == sorted(numbers)
    everything = {**source, "max_records": 500}
    assert len(gather(everything, tmp_path)[0]) == 50


def test_a_sample_stays_when_texts_change_and_rows_are_added(tmp_path):
    source = {**FILES, "paths": ["*.jsonl"], "max_records": 20, "strategy": "random"}
    write(tmp_path / "a.jsonl", [{"text": f"{POEM} {number}"} for number in range(100)])
    before = {document["group"] for document in gather(source, tmp_path)[0]}
    write(tmp_path / "a.jsonl", [{"text": f"{number} {POEM}"} for number in range(105)])
    after = {document["group"] for document in gather(source, tmp_path)[0]}
    assert len(before & after) >= 15


@pytest.fixture
def site(tmp_path) -> Path:
    write(
        tmp_path / "site" / "index.html",
        html("প্রথম পাতার কবিতা, যার দুই পঙ্‌ক্তি।", POEM, links=("a.html", "gopon/b.html", "c.html")),
    )
    write(tmp_path / "site" / "a.html", html(POEM, "দ্বিতীয় পাতা এখানে শেষ।", title="দুই"))
    write(tmp_path / "site" / "gopon" / "b.html", html(POEM))
    write(tmp_path / "site" / "robots.txt", "User-agent: *\nDisallow: /gopon/\n")
    return tmp_path


def test_a_served_site_is_crawled(site):
    documents, dropped = gather(SITE, site)
    assert [(document["url"], document["title"]) for document in documents] == [
        ("http://bangla.localhost/", "নদী"),
        ("http://bangla.localhost/a.html", "দুই"),
    ]
    assert documents[1]["group"] == "kobita/http://bangla.localhost/a.html"
    assert documents[1]["text"] == f"{POEM}\n\nদ্বিতীয় পাতা এখানে শেষ।"
    assert documents[1]["retrieved"].endswith("Z")
    assert [(row["url"], row["reason"]) for row in dropped] == [
        ("http://bangla.localhost/gopon/b.html", "robots.txt forbids"),
        ("http://bangla.localhost/c.html", "status 404"),
    ]


def test_files_of_a_served_folder_were_had_when_the_settings_say(site):
    documents, _ = gather({**SITE, "retrieved": "2020-02-23"}, site)
    assert {document["retrieved"] for document in documents} == {"2020-02-23"}


def outputs(root: Path) -> dict[str, Path]:
    return {name: root / "out" / f"{name}.json" for name in ("documents", "dropped", "counts")}


def test_collecting_again_gives_the_same_and_editing_a_page_changes_it_alone(site):
    hours = iter(range(10, 24))

    def run() -> list[dict]:
        write_collected(SITE, "kobita", "bn", 20, site, site / "store", **outputs(site))
        return list(read_jsonl(outputs(site)["documents"]))

    run()
    for record in (site / "store" / "pages").rglob("*.json"):
        old = json.loads(record.read_text(encoding="utf-8"))
        if "retrieved" in old:
            record.write_text(json.dumps({**old, "retrieved": f"2026-01-01T{next(hours)}:00:00Z"}), encoding="utf-8")
    first = run()
    assert all(document["retrieved"].startswith("2026-01-01T") for document in first)
    for page in (site / "site").rglob("*.html"):
        os.utime(page, (0, 0))
    assert run() == first
    write(site / "site" / "a.html", html(POEM, "তৃতীয় পাতা এখানে শেষ।", title="দুই"))
    os.utime(site / "site" / "a.html", (0, 0))
    second = run()
    assert second[0] == first[0]
    assert second[1]["text"].endswith("তৃতীয় পাতা এখানে শেষ।")
    assert second[1]["retrieved"] != first[1]["retrieved"] and second[1]["group"] == first[1]["group"]


def test_an_interrupted_collection_of_a_site_goes_on(site):
    found = collect(SITE, "kobita", "bn", 20, site, site / "store")
    first = next(found)[0]
    found.close()
    assert (site / "store" / "unfinished.json").exists()
    record = next(path for path in (site / "store" / "pages").rglob("*.json"))
    marked = {**json.loads(record.read_text(encoding="utf-8")), "retrieved": "1999-01-01T00:00:00Z"}
    record.write_text(json.dumps(marked), encoding="utf-8")
    write_collected(SITE, "kobita", "bn", 20, site, site / "store", **outputs(site))
    documents = list(read_jsonl(outputs(site)["documents"]))
    assert documents[0] == {**first, "retrieved": "1999-01-01T00:00:00Z"} and len(documents) == 2
    assert not (site / "store" / "unfinished.json").exists()


def test_a_private_site_is_refused_in_one_line(site):
    source = {**SITE, "serve": None, "start": ["http://127.0.0.1:9/"]}
    with pytest.raises(InputError) as caught:
        write_collected(source, "kobita", "bn", 20, site, site / "store", **outputs(site))
    assert str(caught.value) == "source kobita: no document; dropped: private address (1)"


def test_a_site_that_does_not_answer_is_named(site):
    source = {**SITE, "serve": None, "start": ["http://127.0.0.1:9/"], "private_addresses": True}
    with pytest.raises(InputError, match=r"^source kobita: start: http://127\.0\.0\.1:9/: no "):
        gather(source, site)


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


def test_the_files_of_a_source_are_known_without_reading_them(site):
    write(site / "texts" / "deep" / "b.txt", POEM)
    write(site / "texts" / "a.txt", POEM)
    source = {**FILES, "paths": ["texts/**/*.txt", "texts/a.txt"]}
    assert source_inputs(source, site) == [str(site / "texts" / "a.txt"), str(site / "texts" / "deep" / "b.txt")]
    assert [Path(name).name for name in source_inputs(SITE, site)] == ["a.html", "b.html", "index.html", "robots.txt"]
    assert source_inputs({**SITE, "serve": None}, site) == []
    assert source_inputs({**HUB, "dataset": "owner/name"}, site) == []
    with pytest.raises(InputError, match="serve: 'none' is no folder with files"):
        source_inputs({**SITE, "serve": "none"}, site)


def test_asking_for_the_files_of_a_source_loads_nothing_heavy():
    heavy = {"trafilatura", "lxml", "urllib3", "datasets", "protego", "charset_normalizer"}
    for module in ("kalam.corpus.inputs", "kalam.corpus.sources"):
        code = f"import {module}, sys; print(*sorted({heavy} & set(sys.modules)))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_settings_are_left_as_they_were(tmp_path):
    write(tmp_path / "a.txt", POEM)
    source = {**FILES, "paths": ["a.txt"]}
    before = copy.deepcopy(source)
    gather(source, tmp_path)
    assert source == before
