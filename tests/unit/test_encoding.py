"""Bytes to text, whatever they are declared to be."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalam.text.encoding import decode
from kalam.text.languages import languages

BANGLA = "<p>র‍্যাব আর বৃষ্টি পড়ে, তোমার নয়ন।</p>"
ARABIC = "<p>قال الشاعر إن القلم أصدق من السيف وأبقى في صفحات الكتب القديمة.</p>"
GERMAN = "<p>Über die Straße läuft ein schöner Müßiggänger, größer als früher.</p>"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1))
def test_utf8_is_read_as_it_is(text):
    assert decode(text.encode(), "text/html; charset=windows-1256") == text
    assert decode(codecs.BOM_UTF8 + text.encode()) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_known_by_mark_or_zeros(encoding):
    text = f'<html><head><meta charset="utf-8"></head><body>{BANGLA}</body></html>'
    assert decode(text.encode(encoding), "text/html; charset=utf-8") == text


@pytest.mark.parametrize("language", sorted(languages()))
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_of_plain_text_are_known_without_a_mark(language, encoding):
    for sentence in languages()[language].sentences:
        for text in (sentence, f"{sentence}\r\n" * 300, f"“{sentence}” – {sentence}", f"a = 1; {sentence}"):
            assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", ["a\nb\nc\n" * 50, "\t\n\t\n", "a\t" * 99, "1\n", "ক\tখ\t", "\x00"])
def test_short_lines_are_no_utf_16(text):
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    "declared", ["utf-16", "UTF-16LE", "utf-32", "punycode", "idna", "unicode_escape", "utf-7", "zlib"]
)
def test_a_declaration_that_cannot_be_true_is_passed_over(declared):
    text = f'<meta charset="{declared}">{ARABIC}'
    assert decode(text.encode("cp1256")) == text


@pytest.mark.parametrize("unit", ["<", "<!--", "<script", "<meta ", "<meta charset=x ", "&"])
def test_a_megabyte_of_one_thing_is_decoded(unit):
    body = (unit * (1_000_000 // len(unit)) + ARABIC).encode("cp1256")
    assert decode(body, "text/html; charset=windows-1256").endswith(ARABIC)
    assert decode(body).startswith(unit * 9)


@pytest.mark.parametrize(
    ("content_type", "declaration"),
    [
        ("text/html; charset=windows-1256", ""),
        (None, '<meta charset="windows-1256">'),
        (None, '<meta http-equiv="Content-Type" content="text/html; charset=windows-1256">'),
        (None, "<?xml version='1.0' encoding='windows-1256'?>"),
        ("text/html; charset=utf-8", '<meta charset="utf-8">'),
        ("text/html; charset=iso-8859-1", '<meta charset="iso-8859-1">'),
        ("text/html; charset=no-such-thing", ""),
        ("text/html", ""),
    ],
)
def test_arabic_in_cp1256_is_found_under_any_declaration(content_type, declaration):
    assert decode((declaration + ARABIC).encode("cp1256"), content_type) == declaration + ARABIC


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1252", "latin1"])
def test_latin_that_is_latin_stays(label):
    text = f'<meta charset="{label}">{GERMAN} “ja”'
    assert decode(text.encode("cp1252")) == text


def test_utf8_that_was_cut_is_still_utf8():
    body = (BANGLA * 5).encode() + "ক".encode()[:2]
    assert decode(body, "text/html; charset=windows-1252") == BANGLA * 5 + "\ufffd"


def test_bytes_without_sense_are_refused():
    with pytest.raises(UnicodeError, match="no encoding"):
        decode(bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D, 0xFF, 0xFE, 0xC0]) * 9)


def test_real_pages_in_old_encodings(shared_data):
    folder = shared_data / "html" / "encodings"
    texts = {
        name: decode((folder / f"derived_{name}.html").read_bytes()) for name in ("cp1256_declared_utf8", "utf16le_bom")
    }
    texts["cp1256"] = decode((folder / "derived_cp1256_ar_news_1691196862.html").read_bytes())
    texts["cp1256"] = texts["cp1256"].replace("windows-1256", "utf-8")
    assert texts["cp1256_declared_utf8"] == texts["utf16le_bom"] == texts["cp1256"]
    assert "\ufffd" not in texts["utf16le_bom"] and "الحقائق" in texts["utf16le_bom"]
