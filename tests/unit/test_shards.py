"""Shards of a file of rows: end to end they are the file, and what is made of them is what is made of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalam.corpus.clean import clean_file
from kalam.data.filtering import gather_filtered
from kalam.data.selection import rows_of
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl
from kalam.files.stored_rows import Picked, StoredRows

SETTINGS = {
    "min_characters": 4,
    "max_characters": 4000,
    "min_script_fraction": 0.7,
    "max_repeated_lines": 0.4,
    "max_symbols": 0.3,
}
TEXTS = ["ক", "মেঘের পরে মেঘ জমেছে", "plain words", "র‍্যাব এল ভোরের আগে", "কথা" * 300]
NAMES = ("jsonl", "dropped.jsonl", "counts.json")


@settings(deadline=None, max_examples=50)
@given(lines=st.lists(st.sampled_from(["", "{}", '{"text": "নদী"}', '{"n": 12345}']), max_size=9), end=st.booleans())
def test_every_row_is_in_one_shard_in_order(tmp_path_factory, lines, end):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n" * end, encoding="utf-8")
    whole = list(read_jsonl(path))
    assert whole == [json.loads(line) for line in lines if line]
    for count in (1, 2, 3, 7, 40):
        shards = [list(read_jsonl(path, (number, count))) for number in range(1, count + 1)]
        assert [row for shard in shards for row in shard] == whole


def test_shards_are_about_equally_long(tmp_path):
    write_jsonl(tmp_path / "rows", [{"text": TEXTS[1]}] * 100)
    assert [len(list(read_jsonl(tmp_path / "rows", (number, 4)))) for number in (1, 2, 3, 4)] == [25] * 4


def test_a_bad_line_of_a_shard_is_named_by_its_place_in_the_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' * 6 + "[1]\n" + '{"a": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"rows\.jsonl:7: a JSON object is wanted, found list"):
        [*read_jsonl(path, (1, 2)), *read_jsonl(path, (2, 2))]


def test_a_shard_may_have_no_row_of_a_part_but_the_file_must(tmp_path):
    write_jsonl(tmp_path / "rows", [{"register": "verse"}, {"register": "prose"}])
    shards = [[*rows_of(tmp_path / "rows", ["verse"], shard=(number, 2))] for number in (1, 2)]
    assert shards == [[{"register": "verse"}], []]
    with pytest.raises(InputError, match="no row of register song"):
        list(rows_of(tmp_path / "rows", ["song"]))


@settings(deadline=None, max_examples=30)
@given(picks=st.lists(st.integers(0, 4), max_size=8), count=st.integers(1, 12))
def test_cleaned_shards_are_gathered_to_the_bytes_of_the_whole(tmp_path_factory, picks, count):
    folder = tmp_path_factory.mktemp("clean")
    write_jsonl(folder / "rows", [{"text": TEXTS[pick], "source": "poems", "row": n} for n, pick in enumerate(picks)])

    def clean(name, *shard):
        paths = [folder / f"{name}.{ending}" for ending in NAMES]
        figures = clean_file(folder / "rows", *paths, "bn", SETTINGS, *shard)
        return paths, figures

    whole, figures = clean("whole")
    shards = [clean(f"{number}-of-{count}", (number, count))[0] for number in range(1, count + 1)]
    gathered = [folder / f"gathered.{ending}" for ending in NAMES]
    kept, dropped, counts = zip(*shards, strict=True)
    assert gather_filtered({"kept": kept, "dropped": dropped, "counts": counts}, *gathered) == figures
    assert [path.read_bytes() for path in gathered] == [path.read_bytes() for path in whole]


@given(files=st.lists(st.lists(st.integers(0, 10**6), max_size=4), max_size=4))
@settings(deadline=None, max_examples=30)
def test_rows_that_stay_in_their_files_are_those_of_the_files_end_to_end(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("rows")
    paths = [folder / str(number) for number in range(len(files))]
    for path, numbers in zip(paths, files, strict=True):
        path.write_text("\n".join(json.dumps({"n": n}) + "\n" * (n % 2) for n in numbers), encoding="utf-8")
    rows, expected = StoredRows(paths), [{"n": n} for numbers in files for n in numbers]
    assert list(rows) == [rows[index] for index in range(len(rows))] == expected
    assert rows.lengths == list(map(len, files))
    assert list(Picked(rows, range(len(rows))[::-1])) == expected[::-1]
    assert list(Picked(rows, range(0, len(rows), 2))) == expected[::2]
