"""The table of languages: every row tried on its sentences, what is no row refused, and what each language asks for."""

import unicodedata
from dataclasses import replace

import pytest
import regex
import yaml

from kalam.configuration.resolve import load_schema
from kalam.corpus.clean import COLUMNS, RULES, clean
from kalam.files.errors import InputError
from kalam.text import languages as table
from kalam.text.languages import ROOT, TABLE, language_row, languages, read_table, script_fraction
from kalam.text.normalisation import FIRST, LAST, ON_LETTERS, normalise

SCHEMA = ROOT / "config" / "schema.yaml"
ZWNJ, ZWJ = "\u200c", "\u200d"
each_language = pytest.mark.parametrize("language", sorted(read_table()))
sentences = pytest.mark.parametrize(
    ("language", "sentence"), [(code, sentence) for code, row in languages().items() for sentence in row.sentences]
)


# --- every row, a new one too


@sentences
def test_a_sentence_comes_out_of_normalisation_as_it_is(language, sentence):
    clean = normalise(sentence, language)
    assert clean == unicodedata.normalize("NFC", sentence)
    assert normalise(clean, language) == clean
    assert clean.count(ZWNJ) == sentence.count(ZWNJ) and clean.count(ZWJ) == sentence.count(ZWJ)


@sentences
def test_a_sentence_is_of_its_script_and_ends_as_sentences_do(language, sentence):
    assert script_fraction(sentence, language) >= 0.95
    assert sentence[-1] in language_row(language).sentence_ends


@each_language
def test_a_language_is_cleaned_without_loss(language):
    limits = {"min_characters": 1, "max_characters": 9999, "max_repeated_lines": 0, "max_symbols": 0.01}
    document = {"text": "\n".join(language_row(language).sentences)}
    assert clean(document, language, limits | {"min_script_fraction": 0.95})[1] is None


@each_language
def test_a_row_says_what_unicode_says(language):
    row = language_row(language)
    letter_or_mark = regex.compile(r"[\p{L}\p{M}]")
    own = regex.compile(rf"[\p{{scx={row.script}}}\p{{scx=Inherited}}\p{{scx=Common}}]")
    for first, last in row.ranges:
        assert first <= last
        marks = [chr(code) for code in range(first, last + 1) if letter_or_mark.match(chr(code))]
        assert not [f"{ord(mark):04X}" for mark in marks if not own.match(mark)]
    assert [unicodedata.digit(digit) for digit in row.digits] == list(range(10))
    assert set("".join(row.sentences)) & set(row.digits)
    assert not regex.search(r"[\p{L}\p{M}\p{N}]", row.sentence_ends + row.punctuation)
    directions = {unicodedata.bidirectional(letter) for letter in "".join(row.sentences) if letter.isalpha()}
    assert directions <= ({"AL", "R"} if row.direction == "rtl" else {"L"})


@each_language
def test_what_is_typed_for_a_letter_is_no_letter_that_is_meant(language):
    """Else normalising twice would give another thing than once."""
    letters = language_row(language).normalise.get("letters", {})
    for typed, meant in letters.items():
        assert unicodedata.is_normalized("NFC", typed) and unicodedata.is_normalized("NFC", meant)
        assert not [other for other in letters if other in meant]


@each_language
def test_cleaning_looks_at_no_other_columns_than_its_rule_names(language, monkeypatch):
    row = language_row(language)
    others = set(vars(row)) - {*COLUMNS}
    assert others == {"name", "script", "sentences", "optional_marks"}
    text = "\n".join(row.sentences)
    settings = {"min_characters": 1, "max_characters": 9999, "min_script_fraction": 0.95}
    settings |= {"max_repeated_lines": 0.5, "max_symbols": 0.5}
    expected = clean({"text": text}, language, settings)
    assert len(RULES) == 4
    monkeypatch.setattr(table, "languages", lambda: {language: replace(row, **dict.fromkeys(others))})
    assert clean({"text": text}, language, settings) == expected


def test_the_steps_are_those_that_the_schema_allows():
    steps = load_schema(SCHEMA)["$defs"]["language"]["properties"]["normalise"]["properties"]
    assert steps.keys() == FIRST.keys() | ON_LETTERS.keys() | LAST.keys()


# --- what is no row


@pytest.fixture
def changed(monkeypatch, tmp_path):
    """Writes the table with one row changed, where the package looks for it."""

    def write(code, **columns):
        rows = read_table()
        rows[code] = rows.get(code, {}) | columns
        (tmp_path / "config").mkdir()
        (tmp_path / TABLE).write_text(yaml.safe_dump(rows, allow_unicode=True), encoding="utf-8")
        monkeypatch.setattr(table, "ROOT", tmp_path)

    return write


@pytest.mark.parametrize(
    ("code", "columns", "message"),
    [
        ("bn", {"ranges": [670]}, "bn.ranges.0: found 670; allowed is a value of type string"),
        ("bn", {"ranges": ["980-9FF"]}, "bn.ranges.0: found '980-9FF'; allowed is text of the form ^[0-9A-F]{4,6}-"),
        ("bn", {"direction": "left"}, "bn.direction: found 'left'; allowed is one of ltr, rtl"),
        ("bn", {"digits": "০১২"}, "bn.digits: found '০১২'; allowed is text of the form ^\\d{10}$"),
        ("bn", {"danda": "।"}, "bn: unknown key danda; allowed are digits, direction, joiners, name"),
        ("bn", {"normalise": {"dandas": "|"}}, "bn.normalise: unknown key dandas; allowed are danda, digits, letters"),
        ("bn", {"sentences": []}, "bn.sentences: found []; allowed is at least one entry"),
        ("qaa", {"name": "None"}, "qaa: missing key digits, direction, ranges, script, sentence_ends, sentences"),
        ("None", {}, "the top level: found 'None'; allowed is text of the form"),
        (False, {}, "the top level: found False; allowed is a value of type string"),  # Norwegian, without its marks
    ],
)
def test_what_is_no_row_is_said_in_one_line(changed, code, columns, message):
    changed(code, **columns)
    with pytest.raises(InputError, match="^" + regex.escape(f"config/languages.yaml: {message}")) as error:
        load_schema(SCHEMA)
    assert "\n" not in str(error.value)


def test_a_table_that_is_no_yaml_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(table, "ROOT", tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / TABLE).write_text("bn:\n  name: [\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^config/languages\.yaml: cannot be read: [^\n]*line 3[^\n]*$"):
        load_schema(SCHEMA)


def test_a_language_without_a_row_is_refused_and_the_file_named():
    with pytest.raises(InputError, match=r"found xx; allowed are .*bn, .*; a new one is a row in config/langu"):
        language_row("xx")


# --- the languages that come with the project

# The letters and signs of each; of Sinhala, Malayalam and Hindi those in use.
ALPHABETS = {
    "bn": "অআইঈউঊঋএঐওঔকখগঘঙচছজঝঞটঠডঢণতথদধনপফবভমযরলশষসহৎংঃঁািীুূৃেৈোৌ়্",
    "ta": "அஆஇஈஉஊஎஏஐஒஓஔஃகஙசஞடணதநபமயரலவழளறனஜஷஸஹாிீுூெேைொோ்",
    "ar": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأإؤئةى",
    "hi": "अआइईउऊऋएऐओऔकखगघचछजझञटठडढणतथदधनपफबभमयरलवशषसह़ंँःािीुूृेैोौॉ्",
    "si": "අආඇඈඉඊඋඌඑඒඔඕකඛගඝඟචඡජඥටඩණඬතථදධනඳපඵබභමඹයරලවශෂසහළෆංාැෑිීුූෙේොෝ්",
    "fa": "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیئ",
    "ur": "اآبپتٹثجچحخدڈذرڑزژسشصضطظعغفقکگلمنںوہھءیےئۂ",
    "as": "অআইঈউঊঋএঐওঔকখগঘঙচছজঝঞটঠডঢণতথদধনপফবভমযৰলৱশষসহৎংঃঁািীুেৈোৌ়্",
    "ml": "അആഇഈഉഊഋഎഏഐഒഓഔകഖഗഘങചഛജഝഞടഡഢണതഥദധനപഫബഭമയരലവശഷസഹളഴറൺൻർൽൾംഃാിീുൂെേൈൊോ്",
}


@pytest.mark.parametrize("language", ALPHABETS)
def test_the_sentences_have_every_letter_and_digit(language):
    row = language_row(language)
    text = "".join(row.sentences)
    assert not {*ALPHABETS[language], *row.digits} - {*text}


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        # Hindi: NFC does not compose letters with nukta that are excluded from it, but does others
        ("hi", "\u095b\u0930\u093e \u095e\u0948\u0938\u0932\u093e", "ज\u093cरा फ\u093cैसला"),
        ("hi", "न\u093c", "\u0929"),
        ("hi", "अाँगन अोखली उुषा एेनक", "आँगन ओखली ऊषा ऐनक"),
        ("hi", "अाे", "ओ"),  # two such steps
        ("hi", "घर गया| सच है |", "घर गया। सच है ।"),
        ("hi", "नाम | पता | गाँव|", "नाम | पता | गाँव|"),  # a row of a table
        ("hi", f"क्{ZWJ} और क्{ZWNJ}ष, क्{ZWNJ} भी", f"क्{ZWJ} और क्{ZWNJ}ष, क् भी"),
        # Sinhala: yansaya, rakaransaya, repaya
        ("si", f"විද්{ZWJ}\u0dba\u0dcf ප්{ZWJ}\u0dbb ධ\u0dbb්{ZWJ}ම", f"විද්{ZWJ}\u0dba\u0dcf ප්{ZWJ}\u0dbb ධ\u0dbb්{ZWJ}ම"),
        ("si", "අාච්චි එ්", "ආච්චි ඒ"),
        ("si", "ගිය\u0dd9\u0dca", "ගිය\u0dda"),  # kombuva and al-lakuna are one sign by NFC
        # Persian
        ("fa", f"مي{ZWNJ}روم كتاب", f"می{ZWNJ}روم کتاب"),
        ("fa", f"کتاب{ZWNJ} ها", "کتاب ها"),  # at a word's end it parts nothing
        ("fa", "على ٤٥٦ ۴۵۶", "علی ۴۵۶ ۴۵۶"),
        ("fa", "خانۀ خانهٔ مسئول", "خانهٔ خانهٔ مسئول"),
        ("fa", "مسي\u0654ول", "مسئول"),  # NFC has its yeh before
        ("fa", "ﻛﺘﺎﺏ ﯽ", "کتاب ی"),  # first letters of Arabic, then Persian ones
        # Urdu
        ("ur", "يه كيا هے؟", "یہ کیا ہے؟"),
        ("ur", "جذبه\u0654 محبت جذبۀ محبت", "جذبۂ محبت جذبۂ محبت"),
        ("ur", "گھر ہے ٤٥٦", "گھر ہے ۴۵۶"),
        # Assamese
        ("as", f"হঠাত্{ZWJ} আহিল", "হঠাৎ আহিল"),
        ("as", f"ৰ{ZWJ}্যালী", f"ৰ{ZWJ}্যালী"),
        ("as", "গ'ল| ৱাহ |", "গ'ল। ৱাহ ।"),
        # Malayalam: chillus as they were written before Unicode 5.1
        ("ml", f"അവന്{ZWJ} അവള്{ZWJ} അവര്{ZWJ} പെണ്{ZWJ}കുട്ടി കാല്{ZWJ} വാക്{ZWJ}", "അവൻ അവൾ അവർ പെൺകുട്ടി കാൽ വാൿ"),
        ("ml", "അവന്", "അവന്"),  # to him: no chillu
        ("ml", f"തമിഴ്{ZWNJ}നാട്", f"തമിഴ്{ZWNJ}നാട്"),
        ("ml", "ഇൗ ഉൗ എെ ഒാ", "ഈ ഊ ഐ ഓ"),
        # and what the languages before them have is left
        ("bn", f"হঠাত্{ZWJ} অাম", f"হঠাত্{ZWJ} অাম"),
        ("ar", "كتاب علي في ۴۵۶", "كتاب علي في ۴۵۶"),
    ],
)  # fmt: skip
def test_what_is_typed_in_many_ways_is_written_in_one(language, text, expected):
    assert normalise(text, language) == expected


def test_languages_of_one_script_are_not_told_apart_by_it():
    assert script_fraction("كتاب", "fa") == script_fraction("کتاب", "ar") == 1.0
    assert script_fraction("অসমীয়া", "bn") == 1.0
    assert script_fraction("नमस्ते", "ml") == 0.0
