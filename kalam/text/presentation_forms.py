"""Positional forms and ligatures of Arabic (Unicode, blocks Arabic Presentation Forms-A and -B), as plain letters."""

import re
import unicodedata

import regex

JOINING = r"[\u061c\u200c-\u200f]*"  # joiners and direction marks, which may stand between letters
# A ligature of words is what NFKC makes of it; these have names only (NamesList.txt).
NAMED = {
    "\ufd40": "رحمه الله",
    "\ufd41": "رضي الله عنه",
    "\ufd42": "رضي الله عنها",
    "\ufd43": "رضي الله عنهم",
    "\ufd44": "رضي الله عنهما",
    "\ufd45": "رضي الله عنهن",
    "\ufd46": "صلى الله عليه وآله",
    "\ufd47": "عليه السلام",
    "\ufd48": "عليهم السلام",
    "\ufd49": "عليهما السلام",
    "\ufd4a": "عليه الصلاة والسلام",
    "\ufd4b": "قدس سره",
    "\ufd4c": "صلى الله عليه وآله وسلم",
    "\ufd4d": "عليها السلام",
    "\ufd4e": "تبارك وتعالى",
    "\ufd4f": "رحمهم الله",
    "\ufdcf": "سلامه علينا",
    "\ufdfd": "بسم الله الرحمن الرحيم",
    "\ufdfe": "سبحانه وتعالى",
    "\ufdff": "عز وجل",
}
WORDS = {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0xFDF0, 0xFDFD)} | NAMED
ALLAH = "\ufdf2"
# Fonts draw it without its alef, and with both its lams: what is written before it is not to be doubled.
ALEF, LAM = (
    r"[\u0622\u0623\u0625\u0627\u0671\ufb50\ufb51\ufe81-\ufe84\ufe87\ufe88\ufe8d\ufe8e]",
    r"[\u0644\ufedd-\ufee0]",
)
AFTER_ALEF = regex.compile(rf"(?<={ALEF}\p{{M}}*\u0640*{JOINING}){ALLAH}")
AFTER_LAM = regex.compile(rf"(?<=(?<![\p{{L}}\p{{M}}])(?:[وف]\p{{M}}*)?{LAM}\p{{M}}*{JOINING}){ALLAH}")
# Names take prefixes of one letter, which are written together with them.
PREFIX = rf"(?<=(?<![\p{{L}}\p{{M}}\p{{N}}])[وفبلك]\p{{M}}*{JOINING})[\ufdf3\ufdf4\ufdf6]"
WORD = regex.compile(
    rf"(?P<left>(?<=[\p{{L}}\p{{M}}\p{{N}}{''.join(WORDS)}]{JOINING})(?!{PREFIX}))?"
    rf"(?P<word>[{''.join(WORDS)}])"
    rf"(?P<right>(?={JOINING}[\p{{L}}\p{{N}}{''.join(WORDS)}]))?"
)
TOKEN = regex.compile(r"\p{Latin}(?:[^\p{Arabic}]*[\p{Latin}\p{Nd}])?|\p{Nd}(?:[\p{Nd}.,:/%٫٬٪-]*[\p{Nd}%٪])?|\X")
BRACKETS = str.maketrans("()[]{}<>«»﴾﴿", ")(][}{><»«﴿﴾")


def _forms(*kinds: str) -> str:
    codes = (*range(0xFB50, 0xFDF0), *range(0xFE80, 0xFEFD))
    return "".join(chr(c) for c in codes if unicodedata.decomposition(chr(c)).startswith(kinds))


ARABIC = r"[\p{Arabic}\p{M}]"
INITIAL, FINAL = _forms("<initial>"), _forms("<final>")
FORMS = _forms("<initial>", "<medial>", "<final>", "<isolated>")
FORM = re.compile(f"[{FORMS}]")  # sought in every text, and `regex` takes long over so large a class


def _words(first: str, last: str) -> str:
    return rf"[{first}]{ARABIC}*[{last}]\p{{M}}*"


# In the order of reading a word may begin in an initial form and end in a final one, and not the other way round.
IN_ORDER = regex.compile(rf"(?<!{ARABIC})(?:{_words(INITIAL, FORMS)}|{_words(FORMS, FINAL)})(?!{ARABIC})")
MIRRORED = regex.compile(rf"(?<!{ARABIC})(?:{_words(FINAL, FORMS)}|{_words(FORMS, INITIAL)})(?!{ARABIC})")
# TEH MARBUTA ends words and begins none.
BEGINS_AS_ENDS = regex.compile(rf"(?<!{ARABIC})\u0629\p{{M}}*{ARABIC}{{2}}")
ENDS_AS_ENDS = regex.compile(rf"{ARABIC}{{2}}\u0629\p{{M}}*(?!{ARABIC})")
LEAST_MIRRORED = 3  # words of a text, for one may be a slip


def in_order_of_reading(text: str) -> str:
    """A text in which the lines that are stored as they are seen, from left to right, are turned.

    They come from PDFs, and are known by words that begin and end as no word can: by their forms, or where the text
    is in plain letters, by a letter that only ends words. Latin words and numbers keep their order. A line that does
    not tell is taken for what the text is.
    """
    lines = text.split("\n")
    if not FORM.search(text):
        mirrored = len(BEGINS_AS_ENDS.findall(text))
        if mirrored < LEAST_MIRRORED or mirrored < 10 * len(ENDS_AS_ENDS.findall(text)):
            return text
        return "\n".join(map(_turned, lines))
    signs = [len(MIRRORED.findall(line)) - len(IN_ORDER.findall(line)) for line in lines]
    whole = sum(signs)
    return "\n".join(
        _turned(line) if (sign or (whole if FORM.search(line) else 0)) > 0 else line
        for line, sign in zip(lines, signs, strict=True)
    )


def _turned(line: str) -> str:
    return "".join(token.translate(BRACKETS) if len(token) == 1 else token for token in reversed(TOKEN.findall(line)))


def spell_words(text: str) -> str:
    """A text without ligatures of whole words, which are parted from their neighbours by a space."""
    text = AFTER_LAM.sub("له", AFTER_ALEF.sub("لله", text)).replace(ALLAH, WORDS[ALLAH])
    return WORD.sub(lambda found: f"{_space(found['left'])}{WORDS[found['word']]}{_space(found['right'])}", text)


def _space(beside: str | None) -> str:
    return "" if beside is None else " "
