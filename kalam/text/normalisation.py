"""One form for every text: NFC, plain spaces and line breaks, joiners only where they can matter."""

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import regex

from kalam.text.languages import Language, Ranges, character_class, language_row, parse_ranges
from kalam.text.presentation_forms import in_order_of_reading, spell_words

LINE_BREAK = regex.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Tabs and no-break, thin or ideographic spaces part words as a space does.
SPACE = regex.compile(r"[\t\p{Zs}--\x20]", regex.V1)
# What no reader sees, and lone surrogates, which no UTF-8 file can hold. Joiners and direction
# marks are judged by their place; signs that enclose numbers are format characters, but visible.
INVISIBLE = regex.compile(r"[\p{Cc}\p{Cf}\p{Cs}--[\n\u200c-\u200f\u061c\p{PCM}]]", regex.V1)
# A joiner acts on its neighbours: a second one in a row has nothing left to act on.
REPEATED_JOINER = regex.compile("(?<=[\u200c\u200d])[\u200c\u200d]+")
# A non-joiner parts what would join, and only letters, marks and digits of one word would.
STRAY_NON_JOINER = regex.compile(r"(?<![\p{L}\p{M}\p{Nd}])\u200c|\u200c(?![\p{L}\p{M}\p{Nd}])")
DIRECTION_MARKS = "\u061c\u200e\u200f"
DIRECTION = regex.compile(f"[{DIRECTION_MARKS}]")
REPEATED_DIRECTION = regex.compile("(?<=[\u061c\u200e\u200f])[\u061c\u200e\u200f]+")
# Right-to-left letters, spaces between them and the ends of a line need no mark to be in order;
# digits, signs and foreign letters take theirs from what surrounds them.
DIRECTION_AT_EDGE = regex.compile(
    "(?:^|(?<=\n))[ \u061c\u200e\u200f]+|(?<![ \u061c\u200e\u200f])[ \u061c\u200e\u200f]++(?=\n|$)"
)
STRAY_DIRECTION = regex.compile(
    r"(?<=[ \p{bc=R}\p{bc=AL}\p{M}\u200c\u200d])[\u061c\u200e\u200f](?=[ \p{bc=R}\p{bc=AL}\p{M}])"
)
SPACES = regex.compile("  +")
LINE_EDGE = regex.compile(" *\n *")
BLANK_LINES = regex.compile("\n{3,}")
# A line with these may be a row of a table or a menu.
SEPARATOR = regex.compile(r"^\||(?<= )\|(?= )")
DANDA = "।"


def normalise(text: str, language: str) -> str:
    """The text in the one form that everything downstream compares, counts and trains on.

    It is NFC: Bangla য় ড় ঢ় are letter and nukta, a split vowel sign is one character. Line
    breaks are `\\n` and kept, with at most one blank line; words are one space apart, lines have
    none at their edges. Invisible characters go, joiners and right-to-left marks stay where they
    can matter. Then there are the steps that the language's row asks for. No other letter, mark or
    digit changes; tashkeel stays. Normalising again changes nothing.

    Raises InputError for a language without a row.
    """
    row = language_row(language)
    text = SPACE.sub(" ", LINE_BREAK.sub("\n", text))
    text = _take(FIRST, INVISIBLE.sub("", text), row)
    if row.direction == "ltr":
        text = DIRECTION.sub("", text)
    # first NFC, which settles what stands beside a joiner; again, as a dropped one may have parted a pair
    text = _take(ON_LETTERS, unicodedata.normalize("NFC", text), row)
    text = STRAY_NON_JOINER.sub("", REPEATED_JOINER.sub("", text))
    text = _stray_joiner(character_class(row.joiners)).sub("", text)
    if row.direction == "rtl" and any(mark in text for mark in DIRECTION_MARKS):
        text = DIRECTION_AT_EDGE.sub("", REPEATED_DIRECTION.sub("", text))
        text = STRAY_DIRECTION.sub("", text)
    text = LINE_EDGE.sub("\n", SPACES.sub(" ", text))
    text = unicodedata.normalize("NFC", BLANK_LINES.sub("\n\n", text).strip(" \n"))
    return _take(LAST, text, row)


Steps = dict[str, Callable[[str, Any, Language], str]]


def _take(steps: Steps, text: str, row: Language) -> str:
    """The text after those of the steps that the row asks for."""
    for name, step in steps.items():
        if name in row.normalise:
            text = step(text, row.normalise[name], row)
    return text


def presentation_forms(text: str, ranges: list[str], row: Language) -> str:
    """Positional forms and ligatures become the letters they stand for, in the order in which they are read."""
    text, forms = in_order_of_reading(text), _one_of(tuple(ranges))
    return forms.sub(_plain_letters, spell_words(text)) if forms.search(text) else text


def _plain_letters(match: regex.Match) -> str:
    # The compatibility form of a lone mark begins with a space that the text does not have.
    return unicodedata.normalize("NFKC", match[0]).lstrip(" ")


def remove(text: str, characters: str, row: Language) -> str:
    """Characters that only stretch a word go; one stays where it says something: beside a number, after a word of one
    letter, which it abbreviates, alone, as a dash, and under a mark that would be no letter's or make another letter
    of the one before."""
    for character in characters:
        text = _stretch(character).sub(lambda run: run[0][0] if run["says"] else "", text)
    return text


@cache
def _stretch(character: str) -> regex.Pattern:
    between = r"[\u061c\u200c-\u200f]*"  # what later steps may take away
    letter, other = rf"[\p{{L}}--{character}]", rf"[\p{{L}}\p{{M}}{character}]"
    runs = [
        rf"(?<=\p{{Nd}}{between}){character}+",
        rf"{character}+(?={between}\p{{Nd}})",
        rf"(?<=(?<!{other}{between}){letter}\p{{M}}*{between}){character}+(?!{between}{other})",
        rf"(?<!{other}{between}){character}(?!{between}{other})",
        rf"(?<!{other}{between}){character}+(?={between}\p{{M}})",
        rf"{character}+(?=[\p{{M}}\u061c\u200c-\u200f]*[\u0653-\u0655])",  # which compose with the letter before (NFC)
    ]
    return regex.compile(rf"(?P<says>{'|'.join(runs)})|{character}+", regex.V1)


def letters(text: str, meant: dict[str, str], row: Language) -> str:
    """What is typed for a letter becomes the letter, one after the other; the text is in NFC."""
    for typed, letter in meant.items():
        text = text.replace(typed, letter)
    return text


def digits(text: str, typed: str, row: Language) -> str:
    """Digits of another block become the language's own."""
    return text.translate(str.maketrans(typed, row.digits))


def danda(text: str, typed: str, row: Language) -> str:
    """What is typed for a danda becomes one, where a word of the script ends; not in a line that may be of a table."""
    if not any(character in text for character in typed):
        return text
    pattern = _typed_danda(typed, row.ranges)
    return "\n".join(
        line if SEPARATOR.search(line) else pattern.sub(lambda match: DANDA * len(match[0]), line)
        for line in text.split("\n")
    )


@cache
def _typed_danda(typed: str, ranges: Ranges) -> regex.Pattern:
    """`|`, or another character that looks like a danda, where a word of the script ends.

    Not certain, hence left: `|` after a space and before more text, and any after a digit.
    """
    letter = rf"[[{character_class(ranges)}]&&[\p{{L}}\p{{M}}]]"
    closing = r"[’”\"'»)\]]"
    signs = [regex.escape(sign) for sign in typed]
    after_space = [rf"\|{{1,2}}(?={closing}*$)" if sign == r"\|" else rf"{sign}{{1,2}}(?!{sign})" for sign in signs]
    return regex.compile(
        rf"(?<={letter}\u200d?)[{''.join(signs)}]{{1,2}}(?= |$|{closing}|{letter})"
        rf"|(?<={letter}\u200d? )(?:{'|'.join(after_space)})",
        regex.V1,
    )


@cache
def _one_of(ranges: tuple[str, ...]) -> regex.Pattern:
    return regex.compile(f"[{character_class(parse_ranges(ranges))}]")


@cache
def _stray_joiner(final_after: str) -> regex.Pattern:
    """A joiner neither inside a word or an emoji nor, after `final_after`, spelling at a word's end."""
    joined = r"\p{L}\p{M}\p{Nd}\p{Extended_Pictographic}"
    at_end = rf"\u200d(?![{joined}])"
    if final_after:
        at_end = f"(?<![{final_after}]){at_end}"
    return regex.compile(rf"(?<![{joined}\p{{Emoji_Modifier}}])\u200d|{at_end}")


# The steps that a row may ask for, in their order: on all that was typed, on letters in NFC, and on finished lines.
FIRST: Steps = {"presentation_forms": presentation_forms, "remove": remove}
ON_LETTERS: Steps = {"letters": letters, "digits": digits}
LAST: Steps = {"danda": danda}
