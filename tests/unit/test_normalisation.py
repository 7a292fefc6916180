"""Normalisation, on strings of the scripts."""

import json
import unicodedata
from itertools import islice

import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from kalam.files.jsonl import read_jsonl
from kalam.text.languages import languages, script_fraction
from kalam.text.normalisation import normalise
from kalam.text.presentation_forms import FORM, MIRRORED, NAMED, in_order_of_reading

ZWNJ, ZWJ = "\u200c", "\u200d"
# What makes trouble, often enough for it to meet: joiners, direction marks, spaces, breaks, dandas, forms.
TROUBLE = "কর্য়়তাোে।|৷০ \t\n\r\u200c\u200d\u200e\u200f\u061c\u200b\ufeff\u00ad\u00a0\u2028ஷ்க ாهـآَّٔ١ﻻﻟﻞﷺﷲﹰ1a.”👩\U0001f3fd"
some_language = st.sampled_from(sorted(languages()))
texts = st.one_of(st.text(TROUBLE, max_size=12), st.text(max_size=12))


@st.composite
def trouble(draw) -> tuple[str, str]:
    """A language and a text, often of what its row makes something else of."""
    language = draw(some_language)
    steps = languages()[language].normalise
    typed = [*steps.get("letters", {}), *steps.get("letters", {}).values(), *steps.get("digits", "")]
    pieces = st.sampled_from([*TROUBLE, *typed, *"".join(typed), *languages()[language].sentences[0]])
    return language, draw(st.one_of(st.lists(pieces, max_size=12).map("".join), texts))


@given(trouble())
def test_normalising_again_changes_nothing(pair):
    language, text = pair
    once = normalise(text, language)
    assert normalise(once, language) == once
    assert unicodedata.is_normalized("NFC", once)


@given(texts, some_language.filter(lambda code: "letters" not in languages()[code].normalise))
def test_letters_and_marks_keep_their_sequence(text, language):
    def letters(string: str) -> str:
        return unicodedata.normalize("NFC", "".join(regex.findall(r"[\p{L}\p{M}]", string)))

    expected, found = text, normalise(text, language)
    if "presentation_forms" in (steps := languages()[language].normalise):
        assume(not regex.search("[\ufd40-\ufd4f\ufdcf\ufdf2\ufdfd-\ufdff]", text))
        assume(not any(MIRRORED.search(each) for each in (text, regex.sub(r"\p{C}", "", text))))
        expected = regex.sub("[\ufb50-\ufdff\ufe70-\ufefc]", lambda m: unicodedata.normalize("NFKC", m[0]), text)
    for character in steps.get("remove", ""):
        expected, found = expected.replace(character, ""), found.replace(character, "")
    assert letters(found) == letters(expected)


@given(texts, some_language)
def test_what_comes_out_is_clean(text, language):
    clean = normalise(text, language)
    assert not regex.search(
        r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u200b\ufeff\u00ad\u202a-\u202e--\n]|[\p{Zs}--\x20]", clean, regex.V1
    )
    assert not regex.search("  |^ | $| \n|\n |\n\n\n|[\u200c\u200d]{2}", clean)
    clean.encode()


def test_bangla_letters_with_nukta_are_one_form():
    composed, decomposed = "\u09df\u09dc\u09dd", "\u09af\u09bc\u09a1\u09bc\u09a2\u09bc"
    assert normalise(composed, "bn") == normalise(decomposed, "bn") == decomposed


@pytest.mark.parametrize(
    ("split", "whole"),
    [("কে\u09be", "ক\u09cb"), ("কে\u09d7", "ক\u09cc"), ("கெ\u0bbe", "க\u0bca"), ("கே\u0bbe", "க\u0bcb")],
)
def test_split_vowel_signs_are_composed(split, whole):
    assert normalise(split, "ta" if "\u0b80" <= split[0] <= "\u0bff" else "bn") == whole


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("bn", f"র{ZWJ}্যাব এল"),
        ("bn", f"র{ZWNJ}্যাব এল"),
        ("bn", f"উদ্{ZWNJ}যাপন"),
        ("bn", f"হঠাত্{ZWJ} এল"),  # KHANDA TA as it was written before it had a code point
        ("bn", f"হঠাত্{ZWJ}"),
        ("ta", f"க்{ZWNJ}ஷ"),
        ("ar", f"می{ZWNJ}روم"),
        ("ar", f"١٤٢٠ ه{ZWJ} هنا"),  # the Hijri year's abbreviation
        ("bn", f"👩{ZWJ}👧 মা"),
        ("bn", f"👩\U0001f3fd{ZWJ}🚀 মা"),
    ],
)
def test_joiners_that_matter_stay(language, text):
    assert normalise(text, language) == text


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("bn", f"থাক্{ZWNJ} থাক্{ZWNJ}।", "থাক্ থাক্।"),  # nothing to keep apart
        ("bn", f"খিল্{ZWNJ}{ZWNJ}খিল্", f"খিল্{ZWNJ}খিল্"),
        ("bn", f"শরত্{ZWJ}{ZWNJ}-প্রভা", f"শরত্{ZWJ}-প্রভা"),
        ("bn", f"{ZWNJ}মৃদু\n{ZWJ} মিছামি{ZWNJ}", "মৃদু\nমিছামি"),
        ("bn", f"কী{ZWJ} কথা", "কী কথা"),
        ("bn", f"ক\u200b\ufeff{ZWNJ}\u00adখ", f"ক{ZWNJ}খ"),
        ("ta", f"{ZWNJ}சபரிமலை தானம்{ZWNJ}", "சபரிமலை தானம்"),
        ("ar", f"عامر، {ZWJ}{ZWJ} قال", "عامر، قال"),
    ],
)
def test_stray_joiners_go(language, text, expected):
    assert normalise(text, language) == expected


def test_lines_of_verse_stay_lines():
    text = "\ufeffপ্রথম   চরণ \r\n\u00a0\u00a0দ্বিতীয়\tচরণ\u2028তৃতীয়\x0bচতুর্থ\n \n\n\nনতুন স্তবক\r"
    assert normalise(text, "bn") == normalise("প্রথম চরণ\nদ্বিতীয় চরণ\nতৃতীয়\nচতুর্থ\n\nনতুন স্তবক", "bn")
    assert normalise(text, "bn").count("\n") == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("বাড়ি ফিরি|\nদেখি |", "বাড়ি ফিরি।\nদেখি ।"),
        ("আমি যাই|তুমি থাকো| শেষ", "আমি যাই।তুমি থাকো। শেষ"),
        ("সমাপ্ত ||”", "সমাপ্ত ।।”"),
        ("দেহা৷ হেন ৷", "দেহা। হেন ।"),
        ("নীড় | খেলা | ছবি|", "নীড় | খেলা | ছবি|"),  # a menu
        ("| ক| খ|", "| ক| খ|"),  # a row of a table
        ("দাম ৫৷৹", "দাম ৫৷৹"),  # the numerator itself
        ("a|b", "a|b"),
    ],
)
def test_danda_typed_as_something_else(text, expected):
    assert normalise(text, "bn") == unicodedata.normalize("NFC", expected)
    assert normalise("அவன்|", "ta") == "அவன்|"


def test_assamese_ra_and_tamil_damage_are_left():
    assert normalise("ৰাম", "bn") == "ৰাম"
    assert normalise("க ்ட", "ta") == "க ்ட"


def test_arabic_forms_fold_and_tashkeel_stays():
    assert normalise("ﻛﺘﺎﺏ ﻻ ﷺ", "ar") == "كتاب لا صلى الله عليه وسلم"
    assert normalise("كِتَـــابٌ", "ar") == "كِتَابٌ"
    assert normalise("بﹰ", "ar") == "ب\u064b"
    assert normalise("½ ２ ﬁ ﴿آية﴾", "ar") == "½ ２ ﬁ ﴿آية﴾"  # other compatibility characters are not ours to fold


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("عبد اﷲ", "عبد الله"),
        ("باﷲ تاﷲ واﷲ", "بالله تالله والله"),
        ("بﺎﷲ", "بالله"),
        ("ٱﷲ اَﷲ", "ٱلله اَلله"),
        ("على ﷲ", "على الله"),
        ("وﷲ لﷲ ولﷲ", "والله لله ولله"),
        ("ﷲم", "اللهم"),
        ("النبيﷺ", "النبي صلى الله عليه وسلم"),
        ("النبيُّﷺ قال", "النبيُّ صلى الله عليه وسلم قال"),
        ("النبي\u200fﷺ", "النبي صلى الله عليه وسلم"),
        ("النبيـﷺ", "النبي صلى الله عليه وسلم"),
        ("«النبيﷺ»، (ﷺ)", "«النبي صلى الله عليه وسلم»، (صلى الله عليه وسلم)"),
        ("ﷺقال", "صلى الله عليه وسلم قال"),
        ("للهﷻ على", "لله جل جلاله على"),
        ("ﷲﷻ", "الله جل جلاله"),
        ("ﷹﷲﷷﷸ", "صلى الله عليه وسلم"),
        ("ﷴﷺ", "محمد صلى الله عليه وسلم"),
        ("عنﷴ وﷴ بﷴ لﷶ", "عن محمد ومحمد بمحمد لرسول"),
        ("١٠٠﷼", "١٠٠ ریال"),
        ("قال﷽الحمد", "قال بسم الله الرحمن الرحيم الحمد"),
        ("عمر﵁وعثمان", "عمر رضي الله عنه وعثمان"),
        ("ﷰ ﷱ ﷳ ﷵ ﷾ ﷿ ﷏", "صلے قلے اكبر صلعم سبحانه وتعالى عز وجل سلامه علينا"),
    ],
)
def test_ligatures_of_words_are_spelt_and_parted(typed, meant):
    assert normalise(typed, "ar") == meant


def test_every_ligature_of_words_is_spelt():
    left = [chr(c) for c in range(0xFD40, 0xFE00) if "LIGATURE" in unicodedata.name(chr(c), "")]
    assert set(NAMED) <= set(left) and len(left) > 100
    assert [
        ligature for ligature in left if FORM.search(normalise(ligature, "ar")) or normalise(ligature, "ar") == ligature
    ] == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("كِتَـــابٌ مرحبـــا كتابـــ", "كِتَابٌ مرحبا كتاب"),
        ("مـَن هـٰذا الرحمـٰن", "مَن هٰذا الرحمٰن"),
        ("سنة ١٤٤٥هـ.", "سنة ١٤٤٥هـ."),
        ("1445 هـــ، (هـ)", "1445 هـ، (هـ)"),
        ("جـ ٢ بـ«ها»", "جـ ٢ بـ«ها»"),
        ("١٩٩٠ـ١٩٩٥ ١٩٩٠ــ ١٩٩٥ الـ٢٠", "١٩٩٠ـ١٩٩٥ ١٩٩٠ـ ١٩٩٥ الـ٢٠"),
        ("القلم ـ والكتاب", "القلم ـ والكتاب"),
        ("شيـٔا يـٓ", "شيـٔا يـٓ"),
        ("ـَ ـــِ", "ـَ ـِ"),
        ("الاسم: ـــــ", "الاسم:"),
    ],
)
def test_tatweel_goes_where_it_only_stretches(typed, meant):
    assert normalise(typed, "ar") == meant


def shaped(word: str) -> str:
    """A word in positional forms, as a font would choose them."""
    forms = {
        (unicodedata.decomposition(chr(c)).split()[0], unicodedata.normalize("NFKC", chr(c))): chr(c)
        for c in range(0xFE80, 0xFEFD)
    }
    found, joined = "", False
    for letter, following in zip(word, [*word[1:], ""], strict=True):
        joins = ("<initial>", letter) in forms and ("<final>", following) in forms
        form = {(True, True): "medial", (True, False): "final", (False, True): "initial"}.get(
            (joined, joins), "isolated"
        )
        found, joined = found + forms.get((f"<{form}>", letter), letter), joins
    return found


LINES = [
    "كان القلم رفيق الكاتب في رحلته بين القرى والمدن",
    "تعلم الشباب علوم الحساب من معلم بارع في قريتهم",
    "دار ودور",
]


def test_text_in_visual_order_is_turned():
    visual = [" ".join(map(shaped, line.split()))[::-1] for line in LINES]
    assert normalise("\n".join(visual), "ar") == "\n".join(LINES)
    assert normalise(visual[2], "ar") != LINES[2]  # which tells nothing by itself


def test_text_in_logical_order_is_not_turned():
    logical = "\n".join(" ".join(map(shaped, line.split())) for line in LINES)
    assert in_order_of_reading(logical) == logical and FORM.search(logical)
    assert normalise(logical, "ar") == "\n".join(LINES)
    mixed = logical + "\n" + " ".join(map(shaped, LINES[0].split()))[::-1] + "\nبلا أشكال"
    assert normalise(mixed, "ar") == "\n".join([*LINES, LINES[0], "بلا أشكال"])


def test_plain_letters_in_visual_order_are_known_by_the_letter_that_ends_words():
    lines = ["زرنا مدينة قديمة في رحلة طويلة عام 1990 (صيفا)", "وكانت المدرسة قريبة من القرية"]
    visual = "\n".join(lines).translate(str.maketrans("()", ")(")).split("\n")
    visual = "\n".join(line[::-1].replace("0991", "1990") for line in visual)
    assert normalise(visual, "ar") == "\n".join(lines) and normalise("\n".join(lines), "ar") == "\n".join(lines)
    assert normalise("ةسردم جديدة ةنيدم ةيرق", "ar") == "ةسردم جديدة ةنيدم ةيرق"  # which is neither


def test_a_form_among_plain_letters_turns_nothing():
    assert normalise("سنة ١٤٤٥ﻫ عامﻫ قالﻟ", "ar") == "سنة ١٤٤٥ه عامه قالل"


def test_numbers_latin_and_brackets_keep_their_order_in_a_turned_line():
    seen = f"({shaped('الحساب')[::-1]}) 12.5% C++ 98 {shaped('علوم')[::-1]} ١٩٩٠"
    assert normalise(seen, "ar") == "١٩٩٠ علوم C++ 98 12.5% (الحساب)"


@pytest.mark.parametrize(
    "unit", ["ﷺ", "ـ", "هـ ", "ـَ", "\u200fـ", "ﻟ ", "\u200f ", "ﷲ", "ا\u200f", "١ـ", "ﻟa", "\u200c\u200f"]
)
def test_a_long_text_of_one_thing_is_normalised(unit):
    once = normalise(unit * (100_000 // len(unit)) + "نص", "ar")
    assert once.endswith("نص") and normalise(once, "ar") == once


def test_direction_marks_stay_only_where_they_order_something():
    assert normalise("\u200fبنو عثمان\u200f\n١٩٣٠\u200f", "ar") == "بنو عثمان\n١٩٣٠"
    assert normalise("لغة C++\u200e هنا", "ar") == "لغة C++\u200e هنا"
    assert normalise("\u202bبنو\u202c \u2067عثمان\u2069", "ar") == "بنو عثمان"
    assert normalise("ক\u200eখ\u200f গ", "bn") == "কখ গ"


def test_lone_surrogates_are_dropped():
    assert normalise(json.loads('"ক\\ud800খ"'), "bn") == "কখ"


def test_script_fraction_counts_letters_and_marks_only():
    assert script_fraction("কখ ab 123 ।।!!", "bn") == 0.5
    assert script_fraction("كِتَابٌ", "ar") == 1.0  # marks of the script Inherited count as its own
    assert script_fraction("১২৩ ... ", "bn") == 0.0
    assert script_fraction("தமிழ்", "bn") == 0.0


@pytest.mark.parametrize("language", ["bn", "ta", "ar"])
def test_real_texts_keep_their_letters_and_lines(shared_data, language):
    seen = 0
    for path in sorted((shared_data / "corpora" / language).glob("*/docs.jsonl")):
        for row in islice(read_jsonl(path), 60):
            text = row["text"]
            clean = normalise(text, language)
            assert normalise(clean, language) == clean
            filled = [line for line in regex.split("[\r\n\u2028]+", text) if regex.search(r"[\p{L}\p{N}]", line)]
            assert len([line for line in clean.split("\n") if regex.search(r"[\p{L}\p{N}]", line)]) == len(filled)
            seen += 1
    assert seen > 100
