"""A source that a step empties is told there, with what was dropped put where the user can look."""

import pytest
from cleaning import SETTINGS, VERSE
from collecting import FILES, write

from kalam.corpus.clean import clean_file, gather_cleaned
from kalam.corpus.collect import write_collected
from kalam.corpus.emptied import dropped_beside
from kalam.files.errors import InputError
from kalam.files.jsonl import read_jsonl, write_jsonl

TAMIL = "அகர முதல எழுத்தெல்லாம் ஆதி\nபகவன் முதற்றே உலகு."


def clean_all(folder, texts, language="bn", shards=1):
    rows = folder / "news.jsonl"
    write_jsonl(rows, ({"text": text, "register": "prose"} for text in texts))
    aside = dropped_beside(folder / "logs/text.news.log")
    outputs = [folder / f"{name}.jsonl" for name in ("kept", "dropped", "counts")]
    if shards == 1:
        clean_file(rows, *outputs, language, SETTINGS, aside=aside)
        return aside
    parts = {"kept": [], "dropped": [], "counts": []}
    for number in range(1, shards + 1):
        part = [folder / f"{name}.{number}" for name in parts]
        clean_file(rows, *part, language, SETTINGS, (number, shards))
        for name, file in zip(parts, part, strict=True):
            parts[name].append(file)
    gather_cleaned(parts, *outputs, language, aside)
    return aside


@pytest.mark.parametrize("shards", [1, 3])
def test_a_source_that_cleaning_empties_is_told_with_the_count_of_each_reason(tmp_path, shards):
    texts = ["ছোট কথা।", "ছোট।", f"{VERSE}\n{VERSE}", TAMIL]
    with pytest.raises(InputError) as told:
        clean_all(tmp_path, texts, shards=shards)
    aside = tmp_path / "logs/text.news.dropped.jsonl"
    name = tmp_path / ("news.jsonl" if shards == 1 else "kept.jsonl")
    counts = "too_short 2, other_script 1, repeated_lines 1"
    assert str(told.value) == f"{name}: nothing is left of 4 rows; dropped: {counts} (see {aside})"
    assert [row["reason"] for row in read_jsonl(aside)] == ["too_short", "too_short", "repeated_lines", "other_script"]


@pytest.mark.parametrize("shards", [1, 2])
def test_a_wrong_script_is_named_as_such(tmp_path, shards):
    with pytest.raises(InputError) as told:
        clean_all(tmp_path, [TAMIL, f"{TAMIL} {VERSE[:12]}", "ছোট।"], shards=shards)
    assert "nothing is left of 3 rows; dropped: other_script 2, too_short 1 (see " in str(told.value)
    assert str(told.value).endswith(
        "; at most 19% of the letters of any are Bengali, the script of language bn: "
        "is that the language, and are the ranges of its row in config/languages.yaml right?"
    )


@pytest.mark.parametrize("shards", [1, 2])
def test_one_row_that_stays_is_enough(tmp_path, shards):
    aside = clean_all(tmp_path, [TAMIL, VERSE, TAMIL], shards=shards)
    assert not aside.exists()
    assert len(list(read_jsonl(tmp_path / "kept.jsonl"))) == 1


def test_what_a_source_without_a_document_had_is_put_aside(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": ""}, {"text": 3}])
    outputs = {name: tmp_path / f"out.{name}" for name in ("documents", "dropped", "counts")}
    aside = tmp_path / "logs/a.dropped.jsonl"
    source, place = {**FILES, "paths": ["a.jsonl"]}, (tmp_path, tmp_path / "store")
    with pytest.raises(InputError, match=f"source kobita: no document; dropped: .*; see {aside}$"):
        write_collected(source, "kobita", "documents", "bn", 20, *place, **outputs, aside=aside)
    assert [row["row"] for row in read_jsonl(aside)] == [1, 2]
