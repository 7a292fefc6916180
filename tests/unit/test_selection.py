"""Rows of a file by part."""

import pytest

from kalam.data.selection import rows_of, texts_by_part, texts_of
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
    assert texts_by_part(path) == {"modern": ["நதி", "மழை"], "classical": ["கடல்"]}
    assert texts_by_part(path, "type") == {"line": ["நதி"], "table": ["கடல்", "மழை"]}


def test_a_part_without_a_row_is_told_by_file_and_name(tmp_path):
    path = tmp_path / "test.jsonl"
    write_jsonl(path, ROWS)
    with pytest.raises(InputError, match=r"test\.jsonl: no row of register verse, song$"):
        list(rows_of(path, ["verse", "song"]))
    write_jsonl(path, [])
    with pytest.raises(InputError, match=r"test\.jsonl: no row$"):
        texts_by_part(path)
