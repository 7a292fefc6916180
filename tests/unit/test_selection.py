"""Rows of a file by part."""

import pytest

from kalam.data.selection import SHOWN, by_digest, parts_in, rows_of, stored_rows, texts_of, weighted
from kalam.files.digests import digest_text
from kalam.files.errors import InputError
from kalam.files.jsonl import write_jsonl

ROWS = [
    {"text": "நதி", "register": "modern", "type": "line"},
    {"text": "கடல்", "register": "classical", "type": "table"},
    {"text": "மழை", "register": "modern", "type": "table"},
]


def test_rows_and_texts_of_some_parts_of_a_field(tmp_path):
    path = tmp_path / "test.jsonl"
    write_jsonl(path, ROWS)
    assert list(rows_of(path)) == ROWS
    modern = rows_of(path, ["modern"])
    assert list(modern) == list(modern) == [ROWS[0], ROWS[2]]  # read anew each time
    assert list(texts_of(path, ["table"], "type")) == ["கடல்", "மழை"]
    assert parts_in(rows_of(path)) == ["modern", "classical"]
    assert parts_in(ROWS, "type") == ["line", "table"]


def test_a_part_without_a_row_is_told_by_file_and_name(tmp_path):
    path = tmp_path / "test.jsonl"
    write_jsonl(path, ROWS)
    with pytest.raises(InputError, match=r"test\.jsonl: no row of register verse, song$"):
        list(rows_of(path, ["verse", "song"]))
    write_jsonl(path, [])
    with pytest.raises(InputError, match=r"test\.jsonl: no row$"):
        list(texts_of(path))
    with pytest.raises(InputError, match=r"test\.jsonl: no row$"):
        stored_rows(path)


@pytest.mark.parametrize("count", [1, SHOWN - 1, SHOWN, 3 * SHOWN + 5])
def test_rows_by_digest_are_sorted_however_many_are_held(count):
    rows = [{"id": f"d{number % 50}", "place": number} for number in range(count)]  # some ids twice
    assert list(by_digest(rows)) == sorted(rows, key=lambda row: digest_text(row["id"]))


def test_a_row_comes_as_often_as_its_part_weighs():
    rows = [row | {"id": str(number)} for number, row in enumerate(ROWS)]
    assert list(weighted(rows, {})) == rows
    assert [row["id"] for row in weighted(rows, {"classical": 3})] == ["0", "1", "1", "1", "2"]


def test_a_part_of_a_weight_is_a_share_of_the_rows_the_same_ones_each_time():
    rows = [{"id": f"নদী {number}", "register": "verse"} for number in range(1000)]
    half = list(weighted(rows, {"verse": 0.5}))
    assert 450 < len(half) < 550
    assert list(weighted(rows[::-1], {"verse": 0.5})) == half[::-1]
    more = list(weighted(rows, {"verse": 2.5}))
    assert len(more) == 2000 + len(half)
    assert all(more.count(row) == 2 + (row in half) for row in rows[:20])
