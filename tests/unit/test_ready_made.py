"""Splits that a source brings along: read, merged with other sources, and free of leaks."""

import gzip
import json

import pytest
from collecting import BANGLA, POEM, READY, TAMIL, gather, ready_folder, write

from kalam.data.inputs import source_inputs
from kalam.files.errors import InputError


def test_the_splits_of_a_folder_take_turns_by_the_usual_names(tmp_path):
    source = ready_folder(tmp_path, train=TAMIL[:3], val=[TAMIL[3]], test=[{"text": TAMIL[4], "group": "குறள்"}, {}])
    write(tmp_path / "own" / "README.md", "# நூல்")
    write(tmp_path / "own" / ".cache" / "x.txt", "x")
    documents, dropped = gather(source, tmp_path)
    assert [(document["text"], document["split"], document["group"]) for document in documents] == [
        (TAMIL[0], "train", "kobita/own/train.jsonl#1"),
        (TAMIL[3], "validation", "kobita/own/val.jsonl#1"),
        (TAMIL[4], "test", "kobita/குறள்"),
        (TAMIL[1], "train", "kobita/own/train.jsonl#2"),
        (TAMIL[2], "train", "kobita/own/train.jsonl#3"),
    ]
    assert dropped == [
        {"source": "kobita", "path": "own/test.jsonl", "row": 2, "reason": "no text", "detail": "column text"}
    ]
    files = [str(tmp_path / "own" / f"{name}.jsonl") for name in ("test", "train", "val")]
    assert source_inputs(source, tmp_path) == files
    assert [d["split"] for d in gather({**source, "max_records": 3}, tmp_path)[0]] == ["train", "validation", "test"]


def test_a_folder_may_hold_folders_and_a_text_file_is_a_document(tmp_path):
    write(tmp_path / "own" / "train" / "b.txt", f"নদী\n\n{POEM}\n\n{BANGLA[0]}")
    write(tmp_path / "own" / "train" / "deep" / "a.jsonl", [{"body": BANGLA[1]}])
    write(tmp_path / "own" / "dev" / "a.txt", BANGLA[2])
    write(tmp_path / "own" / "test.txt", BANGLA[3])
    write(tmp_path / "own" / "images" / "a.png", b"\x89PNG")
    source = {**READY, "folder": "own", "fields": {"text": "body"}, "title": "first_line"}
    documents, _ = gather(source, tmp_path)
    assert sorted((document["split"], document["group"]) for document in documents) == [
        ("test", "kobita/own/test.txt"),
        ("train", "kobita/own/train/b.txt"),
        ("train", "kobita/own/train/deep/a.jsonl#1"),
        ("validation", "kobita/own/dev/a.txt"),
    ]
    assert documents[0]["title"] == "নদী" and documents[0]["text"] == f"{POEM}\n\n{BANGLA[0]}"


def test_splits_may_be_of_any_format_each_of_its_own(tmp_path):
    write(tmp_path / "own" / "train.CSV.gz", gzip.compress(f'text,group\n"{TAMIL[0]}",007\n'.encode()))
    write(tmp_path / "own" / "dev.json", json.dumps([{"text": TAMIL[1], "group": 7.0}]))
    write(tmp_path / "own" / "test.txt", f"{TAMIL[2]}\n\n{TAMIL[3]}\n")
    write(tmp_path / "own" / "dataset_infos.json", "{}")
    documents, _ = gather({**READY, "folder": "own", "document": "line"}, tmp_path)
    assert [(document["text"], document["split"], document["group"]) for document in documents] == [
        (TAMIL[0], "train", "kobita/007"),
        (TAMIL[1], "validation", "kobita/7"),
        (TAMIL[2], "test", "kobita/own/test.txt#1"),
        (TAMIL[3], "test", "kobita/own/test.txt#3"),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train.jsonl", "test.jsonl"], "folder: own: found test, train; wanted are train, validation (also val, "),
        (["train.txt", "val.txt", "valid.txt", "test.txt"], "folder: own: found test, train, val, valid; wanted are "),
        (["train.txt", "val.txt", "test.txt", "gold.txt"], "folder: own: 'gold' is no name of a split; wanted are "),
        (["train.txt", "val.txt", "test.txt", "x/a.jsonl"], "folder: own: 'x' is no name of a split; wanted are "),
        (["README.md"], "folder: own: found no split; wanted are train, validation (also val, valid, dev) and test"),
        (["train/a.md", "val.txt", "test.txt"], "folder: own/train/a.md: only .jsonl, .json, .csv, .tsv, .parquet"),
        (["train.md", "train.txt", "val.txt", "test.txt"], "folder: own/train.md: only .jsonl, .json, .csv, .tsv, "),
        (["train.csv", "val.csv", "test.csv", "gold.csv.gz"], "folder: own: 'gold' is no name of a split; wanted are "),
        ([], "folder: 'own' is no folder"),
    ],
)
def test_a_folder_without_the_three_splits_is_refused(tmp_path, files, message):
    for file in files:
        write(tmp_path / "own" / file, POEM)
    source = {**READY, "folder": "own"}
    with pytest.raises(InputError) as caught:
        source_inputs(source, tmp_path)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    with pytest.raises(InputError) as again:
        gather(source, tmp_path)
    assert str(again.value) == f"source kobita: {caught.value}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "folder, dataset: found neither; allowed is exactly one of them"),
        ({"folder": "a", "dataset": "b"}, "folder, dataset: found folder and dataset; allowed is exactly one"),
        ({"dataset": "b"}, "revision: found none; a dataset is pinned by its commit"),
    ],
)
def test_a_source_of_splits_is_a_folder_or_a_pinned_dataset(tmp_path, change, message):
    for ask in (source_inputs, gather):
        with pytest.raises(InputError, match=message):
            ask({**READY, **change}, tmp_path)


def hub_folder(root, **splits):
    files = "".join(f"  - split: {name}\n    path: data/{name}.jsonl\n" for name in splits)
    write(root / "hub" / "README.md", f"---\nconfigs:\n- config_name: poems\n  data_files:\n{files}---\n")
    for name, rows in splits.items():
        write(root / "hub" / "data" / f"{name}.jsonl", rows)
    return {**READY, "dataset": "hub", "revision": "main", "subset": "poems", "fields": {"text": "body"}}


@pytest.fixture
def offline(monkeypatch):
    # where another test has imported the libraries, the environment comes too late
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_dataset_keeps_its_splits(offline, tmp_path):
    rows = [{"body": text} for text in BANGLA]
    source = hub_folder(tmp_path, train=rows[:2], dev=rows[2:3], test=[*rows[3:4], {"body": None}])
    documents, dropped = gather(source, tmp_path)
    assert [(document["text"], document["split"], document["group"]) for document in documents] == [
        (BANGLA[0], "train", "kobita/hub/train#1"),
        (BANGLA[2], "validation", "kobita/hub/dev#1"),
        (BANGLA[3], "test", "kobita/hub/test#1"),
        (BANGLA[1], "train", "kobita/hub/train#2"),
    ]
    assert [(row["dataset"], row["row"], row["reason"]) for row in dropped] == [("hub/test", 2, "no text")]
    assert len(source_inputs(source, tmp_path)) == 4


def test_a_dataset_without_a_wanted_column_is_told_what_it_has(offline, tmp_path):
    row = [{"body": POEM, "book": 7}]
    source = hub_folder(tmp_path, train=row, validation=row, test=row)
    with pytest.raises(InputError) as caught:
        gather({**source, "fields": {"text": "body", "group": "page"}}, tmp_path)
    assert str(caught.value) == "source kobita: dataset: hub/train: found no column page; those there are body, book"


def test_a_dataset_with_other_splits_is_refused(offline, tmp_path):
    row = [{"body": POEM}]
    source = hub_folder(tmp_path, train=row, validation=row, unsupervised=row)
    with pytest.raises(InputError, match="dataset: hub: 'unsupervised' is no name of a split; wanted are train"):
        gather(source, tmp_path)
    source = hub_folder(tmp_path, train=row, test=row)
    with pytest.raises(InputError, match="dataset: hub: found test, train; wanted are train"):
        gather(source, tmp_path)
    with pytest.raises(InputError, match="dataset: no-such/thing at main cannot be read"):
        gather({**source, "dataset": "no-such/thing"}, tmp_path)
