"""The text that a page's bytes spell: byte order marks, UTF-8, what is declared, what the bytes look like."""

import codecs
import re
import unicodedata
from collections.abc import Iterator

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DECLARATION = re.compile(rb"""<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
HEADER = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
TAG = re.compile(rb"<[^<>]*>")
# Python's codecs that are no charsets of texts, and those that no page can declare in the very encoding it is in
NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"}
WIDE = ("utf-16", "utf-32")
MAX_DAMAGE = 0.1  # share of broken sequences up to which bytes are taken for damaged UTF-8, not for another encoding


def decode(body: bytes, content_type: str | None = None) -> str:
    """The text of a page or file, without its byte order mark.

    UTF-16 and UTF-32 are known by their marks or zeros, UTF-8 by its form, so they win over any declaration; then the
    charset of `content_type` (an HTTP header), then the page's own, then charset_normalizer's guess. A
    declared Latin charset, which servers give by default, yields to a guess in another script.

    Raises UnicodeError where the bytes make sense in no encoding.
    """
    for mark, encoding in BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, errors="replace")
    if encoding := _wide_without_mark(body):
        return body.decode(encoding, errors="replace")
    text = body.decode("utf-8", errors="replace")
    beyond_ascii = len(text) - len(text.encode("ascii", errors="ignore"))
    if text.count("\ufffd") <= MAX_DAMAGE * beyond_ascii:
        return text
    declared = next(_decodings(body, _declared(body, content_type)), None)
    if declared is not None and not _is_latin(declared):
        return declared
    guessed = next(_decodings(body, _guesses(body)), None)
    if declared is not None and (guessed is None or _is_latin(guessed)):
        return declared
    if guessed is None:
        raise UnicodeError("the bytes make sense in no encoding")
    return guessed


def _wide_without_mark(body: bytes) -> str | None:
    """UTF-32, and UTF-16 of markup, which is ASCII, or of one block of 256 characters below U+2000 and some ASCII.

    Then every other byte is below 32, and a space or an end of line makes some of them zero, as no other text does.
    """
    head = body[: len(body[:4096]) // 4 * 4] or body[: len(body) // 2 * 2]
    if 0 not in head:
        return None
    zeros = [4 * head[phase::4].count(0) for phase in range(4)]
    if len(head) >= 4 and zeros[2] == zeros[3] == len(head) > zeros[0]:
        return "utf-32-le"
    if len(head) >= 4 and zeros[0] == zeros[1] == len(head) > zeros[3]:
        return "utf-32-be"
    for high, low, end in ((head[1::2], head[::2], "le"), (head[::2], head[1::2], "be")):
        markup = 0 not in low[:32] and high[:32].count(0) > 8
        if markup or (_share_below_32(high) >= 0.9 and _share_below_32(low) <= 0.5):
            return f"utf-16-{end}"
    return None


def _share_below_32(units: bytes) -> float:
    return sum(unit < 32 for unit in units) / max(len(units), 1)


def _declared(body: bytes, content_type: str | None) -> Iterator[str]:
    if header := HEADER.search(content_type or ""):
        yield header[1]
    for declaration in DECLARATION.finditer(body[:4096]):
        name = declaration[1].decode("ascii", errors="ignore")
        if not name.lower().startswith(WIDE):  # or the declaration could not have been read
            yield name


def _guesses(body: bytes) -> Iterator[str]:
    from charset_normalizer import from_bytes

    text = TAG.sub(b" ", body)
    # ASCII words say nothing, and are most of a page's menus
    yield from (match.encoding for match in from_bytes(b" ".join(w for w in text.split() if not w.isascii())))


def _decodings(body: bytes, encodings: Iterator[str]) -> Iterator[str]:
    for name in encodings:
        try:
            encoding = codecs.lookup(name).name
            if encoding in NO_CHARSETS:
                continue
            # browsers read Latin-1 as its superset (WHATWG Encoding, section 4.2)
            yield body.decode("cp1252" if encoding in ("iso8859-1", "ascii") else encoding)
        except (LookupError, UnicodeError):
            continue


def _is_latin(text: str) -> bool:
    letters = [c for c in text if c > "\x7f" and c.isalpha()]
    return sum(unicodedata.name(c, "").startswith("LATIN") for c in letters) > len(letters) / 2
