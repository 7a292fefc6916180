"""Splits by group and register, and the statistics of what is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splitting import split

from kalam.corpus.statistics import statistics, write_statistics
from kalam.data.placement import SPLITS
from kalam.data.split import split_files
from kalam.files.errors import InputError
from kalam.files.jsonl import read_json, read_jsonl, write_jsonl
from kalam.files.tables import read_tsv

TENTHS = {"validation": 0.1, "test": 0.1}


def document(number, group, register="verse", text="কথা"):
    return {
        "id": f"{register}-{number}",
        "text": text,
        "group": group,
        "own_group": group,
        "register": register,
        "source": register,
        "script_fraction": 1.0,
    }


def register(sizes, name="verse"):
    """Documents in groups of the given sizes."""
    return [
        document(f"{group}-{place}", f"{name}-{group}", name)
        for group, size in enumerate(sizes)
        for place in range(size)
    ]


sizes = st.lists(st.integers(1, 6), min_size=3, max_size=25)
seeds = st.integers(0, 50)


def parts_of(rows, settings, seed):
    """The splits of documents none of which is dropped; each register is a source."""
    parts, dropped = split(rows, [], ["verse", "prose"], settings, seed)
    assert dropped == []
    return parts


def places(parts):
    return {row["id"]: name for name, rows in parts.items() for row in rows}


def shares(parts, name="verse"):
    return [sum(row["register"] == name for row in parts[part]) for part in SPLITS]


@given(sizes, sizes, seeds)
def test_every_document_is_in_one_split_and_no_group_in_two(verse, prose, seed):
    rows = register(verse) + register(prose, "prose")
    parts = parts_of(rows, TENTHS, seed)
    assert list(parts) == list(SPLITS)
    assert sorted(row["id"] for part in parts.values() for row in part) == sorted(row["id"] for row in rows)
    groups = [{row["group"] for row in part} for part in parts.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert all(shares(parts) + shares(parts, "prose"))
    order = {row["id"]: place for place, row in enumerate(rows)}
    for part in parts.values():
        assert part == sorted(part, key=lambda row: order[row["id"]])


@given(sizes, seeds, st.randoms())
def test_neither_order_nor_texts_move_a_document(verse, seed, shuffler):
    rows = register(verse)
    before = places(parts_of(rows, TENTHS, seed))
    edited = [dict(row) for row in rows]
    shuffler.choice(edited)["text"] = "একেবারে অন্য কথা"
    shuffler.shuffle(edited)
    assert places(parts_of(edited, TENTHS, seed)) == before


def test_shares_and_numbers_are_met_where_groups_allow():
    rows = register([1] * 200) + register([1] * 50, "prose")
    assert shares(parts_of(rows, TENTHS, 1)) == [160, 20, 20]
    assert shares(parts_of(rows, {"validation": 0.02, "test": 0.3}, 1), "prose") == [34, 1, 15]
    assert shares(parts_of(rows, {"validation": 5, "test": 7}, 1), "prose") == [38, 5, 7]
    assert shares(parts_of(rows, {"validation": 1, "test": 0.1}, 1)) == [179, 1, 20]


def test_the_seed_chooses_and_nothing_else_does():
    rows = register([1] * 100)
    assert places(parts_of(rows, TENTHS, 1)) == places(parts_of(rows, TENTHS, 1))
    assert places(parts_of(rows, TENTHS, 1)) != places(parts_of(rows, TENTHS, 2))


@pytest.mark.parametrize("seed", range(8))
def test_a_group_too_large_for_a_held_out_split_is_trained_on(seed):
    assert shares(parts_of(register([300] + [1] * 100), TENTHS, seed)) == [320, 40, 40]
    assert shares(parts_of(register([400, 3, 3, 3]), TENTHS, seed)) == [400, 3, 6]


def test_the_smallest_group_is_held_out_where_all_are_too_large():
    assert sorted(shares(parts_of(register([90, 70, 80]), TENTHS, 3))) == [70, 80, 90]
    assert shares(parts_of(register([90, 70, 80]), TENTHS, 3)) == [90, 80, 70]


@pytest.mark.parametrize("few", [[1], [3, 1]])
def test_a_source_of_too_few_groups_is_trained_on_where_another_is_held_out(few):
    rows = register([1] * 30) + [{**row, "register": "verse"} for row in register(few, "prose")]
    parts = parts_of(rows, TENTHS, 1)
    assert [sum(row["source"] == "prose" for row in parts[name]) for name in SPLITS] == [sum(few), 0, 0]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (
            register([5, 5]),
            TENTHS,
            "verse: 10 documents in 2 groups found, none for validation; wanted is a source that has test 0.1",
        ),
        (register([1, 1]), TENTHS, "2 documents in 2 groups"),
        (register([1] * 30) + register([9], "songs"), TENTHS, "register songs: 9 documents in 1 groups"),
        (
            register([1] * 30),
            {"validation": 10, "test": 20},
            "30 documents in 30 groups found, none for validation; .* test 20",
        ),
        (register([1] * 30), {"validation": 0.5, "test": 0.5}, "test 0.5, validation 0.5"),
    ],
)
def test_a_register_too_small_is_refused_by_name(rows, settings, message):
    with pytest.raises(InputError, match=message):
        split(rows, [], ["verse", "songs"], settings, 1)


def write_splits(folder, rows, registers=("verse",)):
    """(the path of each split, the dropped rows, the counts)"""
    write_jsonl(folder / "merged.jsonl", rows)
    write_jsonl(folder / "joins.jsonl", [])
    outputs = {name: folder / f"{name}.jsonl" for name in SPLITS}
    inputs = folder / "merged.jsonl", folder / "joins.jsonl"
    figures = split_files(
        *inputs, outputs, ["verse"], registers, TENTHS, 1, folder / "dropped.jsonl", folder / "counts.json"
    )
    assert read_json(folder / "counts.json") == figures
    return outputs, list(read_jsonl(folder / "dropped.jsonl")), figures


def test_a_register_of_which_nothing_is_left_is_named(tmp_path):
    rows = [document(n, f"g{n}") for n in range(10)]
    dropped = [{"register": "songs", "reason": reason} for reason in ("duplicate", "near_duplicate", "duplicate")]
    write_jsonl(tmp_path / "merged.dropped.jsonl", [*dropped, {"register": "verse", "reason": "duplicate"}])
    line = r"register songs: no document is left; dropped by the merge: duplicate 2, near_duplicate 1 \(see .*merged\."
    with pytest.raises(InputError, match=line):
        write_splits(tmp_path, rows, ["verse", "songs"])


def test_files_and_statistics(tmp_path):
    rows = [document(n, f"g{n}", text="র\u200d্যাব এল\nআজ") for n in range(10)]
    rows[0]["script_fraction"] = 0.5
    outputs, dropped, figures = write_splits(tmp_path, rows)
    assert (dropped, figures) == ([], {"read": 10, "kept": 10, "dropped": {}})
    assert sorted(row["id"] for path in outputs.values() for row in read_jsonl(path)) == sorted(
        row["id"] for row in rows
    )
    write_statistics(outputs, tmp_path / "statistics.tsv")
    table = read_tsv(tmp_path / "statistics.tsv")
    text = rows[0]["text"]
    assert [row["split"] for row in table] == list(SPLITS)
    assert table[0] == {
        "register": "verse",
        "source": "verse",
        "split": "train",
        "documents": "8",
        "bytes": str(8 * len(text.encode())),
        "characters": str(8 * len(text)),
        "words": "24",
        "script_fraction": "1",
    }


def test_the_fields_that_only_the_split_needs_end_there():
    parts = parts_of(register([1] * 9), TENTHS, 1)
    assert all(row.keys() & {"group", "own_group", "split"} == {"group"} for part in parts.values() for row in part)


def test_statistics_are_by_source():
    rows = [{**document(n, "g"), "source": source, "script_fraction": n / 10} for n, source in enumerate("abbb")]
    table = statistics({"train": rows, "test": rows[:1]})
    assert [(row["source"], row["split"], row["documents"]) for row in table] == [
        ("a", "train", 1),
        ("a", "test", 1),
        ("b", "train", 3),
    ]
    assert table[2]["script_fraction"] == 0.2
