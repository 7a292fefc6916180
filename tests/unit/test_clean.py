"""Cleaning: what is kept, what is dropped and why, and that the figures add up."""

import pytest
from cleaning import SETTINGS, VERSE
from hypothesis import given
from hypothesis import strategies as st

from kalam.corpus.clean import clean, clean_file
from kalam.data.filtering import write_filtered
from kalam.files.digests import digest_text
from kalam.files.jsonl import read_json, read_jsonl, write_jsonl


def document(text, **fields):
    return {"text": text, "source": "poems", "register": "verse", "group": "g", **fields}


def test_a_kept_document_is_normalised_and_identified():
    cleaned, reason = clean(document(f"\ufeff{VERSE}  \r\n", title="বর্ষা", group=None), "bn", SETTINGS)
    assert reason is None
    assert cleaned["text"] == clean(document(VERSE), "bn", SETTINGS)[0]["text"]
    assert cleaned["id"] == digest_text(cleaned["text"]) == cleaned["group"]
    assert cleaned["script_fraction"] == 1.0
    assert cleaned["title"] == "বর্ষা"


@pytest.mark.parametrize(
    ("text", "reason", "found", "allowed"),
    [
        ("ছোট কথা।", "too_short", 8, 20),
        ("", "too_short", 0, 20),
        ("কথা " * 101, "too_long", 403, 400),
        ("only a little বাংলা in here, you see", "other_script", 0.1786, 0.7),
        ("1234 5678 9012 3456 7890", "other_script", 0.0, 0.7),
        (f"{VERSE}\n{VERSE}", "repeated_lines", 0.5, 0.4),
        ("কথা **** #### ==== ~~~~ শেষ", "symbols", 0.5926, 0.3),
        (None, "no_text", "NoneType", "str"),
        (["ক"], "no_text", "list", "str"),
    ],
)
def test_reasons_come_with_their_figures(text, reason, found, allowed):
    _, why = clean(document(text), "bn", SETTINGS)
    assert why == {"reason": reason, "found": found, "allowed": allowed}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("bn", "মেঘের পরে মেঘ জমেছে,\nআঁধার করে আসে।\nমেঘের পরে মেঘ জমেছে,\nআমায় কেন বসিয়ে রাখ একা দ্বারের পাশে॥"),  # a refrain
        ("bn", "র\u200d্যাব উদ্\u200cযাপন র\u200d্যাব উদ্\u200cযাপন"),
        ("ta", "அகர முதல எழுத்தெல்லாம் ஆதி\nபகவன் முதற்றே உலகு."),
        ("ar", "الشَّهَادَةِ ظَاهِرَةً، وَبِحَقٍّ بَيِّنٍ؛ ﴿تَضْعُفُ التُّهْمَةُ﴾ ٪٥٠"),
    ],
)
def test_rules_do_not_suppose_english(language, text):
    assert clean(document(text), language, SETTINGS)[1] is None


def test_bounds_are_allowed_values():
    text = "ক" * 20
    assert clean(document(text), "bn", SETTINGS)[1] is None
    assert clean(document(text + "ক"), "bn", {**SETTINGS, "max_characters": 20})[1]["reason"] == "too_long"
    half = "কখ ab"
    loose = {**SETTINGS, "min_characters": 1}
    assert clean(document(half), "bn", {**loose, "min_script_fraction": 0.5})[1] is None
    assert clean(document(half), "bn", {**loose, "min_script_fraction": 0.51})[1]["reason"] == "other_script"


@given(st.text(alphabet="কখি abc1*#।\n\u200d", max_size=60))
def test_cleaning_again_changes_nothing(text):
    kept, reason = clean(document(text), "bn", {**SETTINGS, "min_characters": 1})
    if reason is None:
        assert clean(kept, "bn", {**SETTINGS, "min_characters": 1}) == (kept, None)


def test_files_hold_every_row_once(tmp_path):
    rows = [document(VERSE), document("ছোট"), document("x" * 30), document(None), document(VERSE + " আরও")]
    write_jsonl(tmp_path / "in.jsonl", rows)
    paths = [tmp_path / name for name in ("kept.jsonl", "dropped.jsonl", "counts.json")]
    figures = clean_file(tmp_path / "in.jsonl", *paths, "bn", SETTINGS)
    kept, dropped = list(read_jsonl(paths[0])), list(read_jsonl(paths[1]))
    assert figures == read_json(paths[2])
    assert figures == {"read": 5, "kept": 2, "dropped": {"no_text": 1, "other_script": 1, "too_short": 1}}
    assert [row["reason"] for row in dropped] == ["too_short", "other_script", "no_text"]
    assert dropped[0]["text"] == "ছোট"
    assert all("reason" not in row and row["source"] == "poems" for row in kept)


def test_nothing_is_written_when_rows_do_not_add_up(tmp_path):
    paths = [tmp_path / name for name in ("kept.jsonl", "dropped.jsonl", "counts.json")]
    with pytest.raises(RuntimeError, match="2 documents read, but 1 kept and 0 dropped"):
        write_filtered([({"text": "ক"}, None)], *paths, read=2)
    assert list(tmp_path.iterdir()) == []
