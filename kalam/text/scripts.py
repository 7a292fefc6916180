"""The scripts Kalam knows, a row per language; a new language is a new row."""

from dataclasses import dataclass
from functools import cache

import regex

from kalam.files.errors import InputError


@dataclass(frozen=True)
class Script:
    """What the text of one language looks like.

    `ranges`: first and last code point of the blocks with its letters, marks and digits.
    `punctuation`: its own punctuation, beyond what all scripts share.
    `final_joiner_after`: a character class; after these a zero width joiner at a word's end is spelling.
    `danda`: the full stop that is often typed as `|`, where there is one.
    `right_to_left`: whether direction marks can mean anything.
    `presentation`: ranges of positional forms and ligatures that stand for plain letters.
    `filler`: characters that only stretch a word.
    `optional_marks`: ranges of marks that a text may bear or not and still be the same text.
    """

    name: str
    ranges: tuple[tuple[int, int], ...]
    punctuation: str = ""
    final_joiner_after: str = ""
    danda: str = ""
    right_to_left: bool = False
    presentation: tuple[tuple[int, int], ...] = ()
    filler: str = ""
    optional_marks: tuple[tuple[int, int], ...] = ()


SCRIPTS = {
    "bn": Script(
        name="Bengali",
        ranges=((0x0980, 0x09FF),),
        punctuation="।॥",
        # TA, hasanta, joiner is how KHANDA TA was written before U+09CE
        final_joiner_after="\u09cd",
        danda="।",
    ),
    "ta": Script(name="Tamil", ranges=((0x0B80, 0x0BFF), (0x11FC0, 0x11FFF))),
    "ar": Script(
        name="Arabic",
        ranges=(
            (0x0600, 0x06FF),
            (0x0750, 0x077F),
            (0x0870, 0x08FF),
            (0xFB50, 0xFDFF),
            (0xFE70, 0xFEFC),
            (0x10EC0, 0x10EFF),
        ),
        punctuation="،؛؟٪٫٬٭۔﴾﴿",
        # HEH and joiner abbreviate the Hijri year; any connecting letter takes another shape by it
        final_joiner_after="\u0620-\u064a\u066e-\u06d3",
        right_to_left=True,
        presentation=((0xFB50, 0xFDFF), (0xFE70, 0xFEFC)),
        filler="\u0640",
        optional_marks=((0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670), (0x06D6, 0x06ED), (0x08CA, 0x08FF)),
    ),
}

LETTERS = regex.compile(r"[\p{L}\p{M}]+")


def script(language: str) -> Script:
    """The row of a language. Raises InputError for one that has none."""
    if language not in SCRIPTS:
        raise InputError(f"language {language}: no row in the table of scripts, which has {', '.join(SCRIPTS)}")
    return SCRIPTS[language]


def character_class(ranges: tuple[tuple[int, int], ...]) -> str:
    """Ranges of code points as the inside of a regular expression's character class."""
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in ranges)


def script_fraction(text: str, language: str) -> float:
    """The share of the language's script among the letters and marks of a text, 0 where there are none."""
    letters = "".join(LETTERS.findall(text))
    own = sum(map(len, _in_script(language).findall(letters)))
    return own / len(letters) if letters else 0.0


@cache
def _in_script(language: str) -> regex.Pattern:
    return regex.compile(f"[{character_class(script(language).ranges)}]+")
