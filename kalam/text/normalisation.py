"""One form for every text: NFC, plain spaces and line breaks, joiners only where they can matter."""

import unicodedata
from functools import cache

import regex

from kalam.text.scripts import character_class, script

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
DIRECTION = regex.compile("[\u061c\u200e\u200f]")
REPEATED_DIRECTION = regex.compile("(?<=[\u061c\u200e\u200f])[\u061c\u200e\u200f]+")
# Right-to-left letters, spaces between them and the ends of a line need no mark to be in order;
# digits, signs and foreign letters take theirs from what surrounds them.
STRAY_DIRECTION = regex.compile(
    r"(?<=(?:^|\n)[ \u061c\u200e\u200f]*)[\u061c\u200e\u200f]"
    r"|[\u061c\u200e\u200f](?=[ \u061c\u200e\u200f]*(?:\n|$))"
    r"|(?<=[ \p{bc=R}\p{bc=AL}\p{M}\u200c\u200d])[\u061c\u200e\u200f](?=[ \p{bc=R}\p{bc=AL}\p{M}])"
)
SPACES = regex.compile("  +")
LINE_EDGE = regex.compile(" *\n *")
BLANK_LINES = regex.compile("\n{3,}")
# A line with these may be a row of a table or a menu.
SEPARATOR = regex.compile(r"^\||(?<= )\|(?= )")


def normalise(text: str, language: str) -> str:
    """The text in the one form that everything downstream compares, counts and trains on.

    It is NFC: Bangla য় ড় ঢ় are letter and nukta, a split vowel sign is one character. Line
    breaks are `\\n` and kept, with at most one blank line; words are one space apart, lines have
    none at their edges. Invisible characters go, joiners and right-to-left marks stay where they
    can matter. By the language's row in `kalam.text.scripts` presentation forms become plain
    letters, fillers go, and a danda typed as `|` becomes one. No other letter, mark or digit
    changes; tashkeel stays. Normalising again changes nothing.

    Raises InputError for a language without a row.
    """
    row = script(language)
    text = SPACE.sub(" ", LINE_BREAK.sub("\n", text))
    text = INVISIBLE.sub("", text)
    if row.presentation:
        text = _presentation(row.presentation).sub(_plain_letters, text)
    for filler in row.filler:
        text = text.replace(filler, "")
    if not row.right_to_left:
        text = DIRECTION.sub("", text)
    # first NFC, which settles what stands beside a joiner; again, as a dropped one may have parted a pair
    text = unicodedata.normalize("NFC", text)
    text = STRAY_NON_JOINER.sub("", REPEATED_JOINER.sub("", text))
    text = _stray_joiner(row.final_joiner_after).sub("", text)
    if row.right_to_left:
        text = STRAY_DIRECTION.sub("", REPEATED_DIRECTION.sub("", text))
    text = LINE_EDGE.sub("\n", SPACES.sub(" ", text))
    text = unicodedata.normalize("NFC", BLANK_LINES.sub("\n\n", text).strip(" \n"))
    return _with_danda(text, language) if row.danda else text


def _plain_letters(match: regex.Match) -> str:
    # The compatibility form of a lone mark begins with a space that the text does not have.
    return unicodedata.normalize("NFKC", match[0]).lstrip(" ")


def _with_danda(text: str, language: str) -> str:
    if "|" not in text and "৷" not in text:
        return text
    typed, danda = _typed_danda(language), script(language).danda
    return "\n".join(
        line if SEPARATOR.search(line) else typed.sub(lambda match: danda * len(match[0]), line)
        for line in text.split("\n")
    )


@cache
def _typed_danda(language: str) -> regex.Pattern:
    """`|`, or the numerator U+09F7 that looks like a danda, where a word of the script ends.

    Not certain, hence left: `|` after a space and before more text, and any after a digit.
    """
    letter = rf"[[{character_class(script(language).ranges)}]&&[\p{{L}}\p{{M}}]]"
    closing = r"[’”\"'»)\]]"
    return regex.compile(
        rf"(?<={letter}\u200d?)[|৷]{{1,2}}(?= |$|{closing}|{letter})"
        rf"|(?<={letter}\u200d? )(?:\|{{1,2}}(?={closing}*$)|৷{{1,2}}(?!৷))",
        regex.V1,
    )


@cache
def _presentation(ranges: tuple[tuple[int, int], ...]) -> regex.Pattern:
    return regex.compile(f"[{character_class(ranges)}]")


@cache
def _stray_joiner(final_after: str) -> regex.Pattern:
    """A joiner neither inside a word or an emoji nor, after `final_after`, spelling at a word's end."""
    joined = r"\p{L}\p{M}\p{Nd}\p{Extended_Pictographic}"
    at_end = rf"\u200d(?![{joined}])"
    if final_after:
        at_end = f"(?<![{final_after}]){at_end}"
    return regex.compile(rf"(?<![{joined}\p{{Emoji_Modifier}}])\u200d|{at_end}")
