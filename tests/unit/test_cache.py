"""What is kept for the next process: found again, and done without where it cannot be."""

import pytest

from kalam.configuration.validation import faults
from kalam.files import code
from kalam.files.cache import recall, remember


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """A cache folder of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kalam"


def test_a_value_is_found_under_all_that_it_follows_from():
    remember("sums", "1 2", {"sum": 3})
    remember("sums", "1 2", {"sum": 3})
    assert recall("sums", "1 2") == {"sum": 3}
    assert recall("sums", "2 1") is None
    assert recall("products", "1 2") is None


def test_nothing_is_left_beside_what_is_kept(folder):
    remember("sums", "1 2", 3)
    assert len(list(folder.rglob("*"))) == 2  # the folder of the sums, and one


@pytest.mark.parametrize("text", ["", '{"sum":', "\xff"])
def test_what_cannot_be_read_is_not_there(folder, text):
    remember("sums", "1 2", {"sum": 3})
    next(folder.glob("sums/*")).write_text(text, encoding="latin-1")
    assert recall("sums", "1 2") is None


def test_where_nothing_can_be_written_nothing_is_kept(folder):
    folder.write_text("no folder")
    remember("sums", "1 2", {"sum": 3})
    assert recall("sums", "1 2") is None


def test_a_file_of_code_means_the_same_read_anew_and_kept(tmp_path):
    file = tmp_path / "do.py"
    file.write_text("from kalam.files.code import ROOT\n")
    first = code._read.__wrapped__(file)
    assert first.imported == ["kalam", "kalam.files", "kalam.files.code", "kalam.files.code.ROOT"]
    assert code._read.__wrapped__(file) == first
    file.write_text("from kalam.files.code import PACKAGE\n")
    assert code._read.__wrapped__(file).meaning != first.meaning


def test_what_was_allowed_once_is_allowed_of_the_same_value_and_schema_only(folder):
    whole, word = {"properties": {"size": {"type": "integer"}}}, {"properties": {"size": {"type": "string"}}}
    assert faults({"size": 1}, whole) == faults({"size": 1}, whole) == []
    assert len(list(folder.glob("valid/*"))) == 1
    assert [error.instance for error in faults({"size": 1.0}, whole)] == [1.0]
    assert [error.instance for error in faults({"size": True}, whole)] == [True]
    assert [error.instance for error in faults({"size": 1}, word)] == [1]
    assert [error.instance for error in faults({"size": 1}, word)] == [1]
    assert len(list(folder.glob("valid/*"))) == 1
