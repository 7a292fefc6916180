"""HTML trees whose invisible characters and line breaks survive any extractor, and their plain text."""

import re
from dataclasses import dataclass

from lxml import etree
from lxml.html import HtmlElement

# Extractors drop what Python calls unprintable (joiners, bidirectional marks, Arabic number signs,
# private use) and fold newlines into spaces. Variation selectors 17 to 256 stand in for them: marks
# to every extractor, and at home in no text but Han.
STAND_INS = [chr(code) for code in range(0xE0100, 0xE01F0)]
JOINERS = {"\u200c", "\u200d"}

VERSES = {"p", "pre", "blockquote"}
BLOCKS = VERSES | {
    *("body", "div", "section", "article", "main", "header", "footer", "nav", "aside", "address", "center", "form"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "br", "ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "tr"),
    *("fieldset", "figure", "figcaption", "details", "summary"),
    *("head", "quote", "list", "item", "row", "lb"),  # what trafilatura makes of them
}
CELLS = {"td", "th", "cell"}
UNSEEN = {"script", "style", "noscript", "template", "svg", "iframe", "object", "select", "textarea"}
SPACES = re.compile(r"[ \t\n\f]+")


@dataclass(frozen=True)
class Marks:
    """The stand-ins of one page: one for a line break, one for each invisible character."""

    line: str
    invisible: dict[str, str]

    @classmethod
    def for_page(cls, text: str) -> "Marks":
        """Stand-ins that do not occur in the page."""
        found = set(text)
        unused = [mark for mark in STAND_INS if mark not in found]
        invisible = {c for c in found if not c.isprintable() and not c.isspace()} | JOINERS
        return cls(unused[0], dict(zip(sorted(invisible), unused[1:], strict=False)))

    def hide(self, text: str, escaped: bool = False) -> str:
        """Put stand-ins for invisible characters; `escaped` also for their JSON escapes."""
        for character, mark in self.invisible.items() if escaped else ():
            text = re.sub(rf"\\u{ord(character):04x}", mark, text, flags=re.IGNORECASE)
        return text.translate(str.maketrans(self.invisible))

    def restore(self, text: str) -> str:
        """Lines and stanzas as newlines and blank lines, the invisible characters as they were."""
        text = re.sub(rf"[\s{self.line}]+", self._gap, text).strip()
        return text.translate(str.maketrans({mark: character for character, mark in self.invisible.items()}))

    def _gap(self, run: re.Match) -> str:
        lines = run[0].count(self.line)
        return "\n\n" if lines > 1 else "\n" if lines or "\n" in run[0] else " "


def mark_page(tree: HtmlElement) -> Marks:
    """Put stand-ins into a tree, in place: for invisible characters everywhere, for line breaks in its body.

    A `<br>` and a newline in `<pre>` are one line break; an empty paragraph, a rule, and either
    end of a paragraph of several lines are two, which make a stanza.
    """
    attributes = tree.xpath("//meta/@content")
    marks = Marks.for_page("".join([*tree.itertext(), *attributes]))
    for element in tree.iter():
        escaped = element.tag == "script"
        element.text = element.text and marks.hide(element.text, escaped)
        element.tail = element.tail and marks.hide(element.tail)
        if element.get("content"):
            element.set("content", marks.hide(element.get("content")))
    for body in tree.iter("body"):
        _mark_breaks(body, marks.line)
    return marks


def _mark_breaks(body: HtmlElement, mark: str) -> None:
    stanzas = _verses_and_empty(body)
    pending = 0  # breaks wait for the next text, for extractors drop an element without any
    preformatted = 0

    def marked(text: str | None) -> str | None:
        nonlocal pending
        if not text:
            return text
        text = text.replace("\n", f"{mark}\n") if preformatted else SPACES.sub(" ", text)
        if text.strip(mark).isspace() or not text.strip(mark):
            return text
        text, pending = mark * min(pending, 2) + text, 0
        return text

    walk = etree.iterwalk(body, events=("start", "end"))
    for event, element in walk:
        pending = max(pending, 2) if element.tag == "hr" or element in stanzas else pending
        if event == "start":
            preformatted += element.tag == "pre"
            pending += element.tag == "br"
            if element.tag in UNSEEN:
                walk.skip_subtree()
            else:
                element.text = marked(element.text)
        else:
            preformatted -= element.tag == "pre"
            element.tail = marked(element.tail)


def _verses_and_empty(body: HtmlElement) -> set[HtmlElement]:
    """Paragraphs of several lines, and those without any text, in one walk however deep they are in one another."""
    found = set()
    before: list[tuple[int, int]] = []
    texts = lines = 0
    for event, element in etree.iterwalk(body, events=("start", "end")):
        if event == "start":
            if element.tag in VERSES:
                before.append((texts, lines))
            texts += bool(element.text and element.text.strip())
            continue
        if element.tag in VERSES:
            texts_before, lines_before = before.pop()
            if element.tag == "pre" or texts == texts_before or lines > lines_before:
                found.add(element)
        if element.tail and element.tail.strip():
            texts += 1
            lines += element.tag == "br"
    return found


def plain_text(element: etree._Element) -> str:
    """The visible text under an element, each block on lines of its own."""
    parts = []
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, child in walk:
        parts.append("\n" if child.tag in BLOCKS else " " if child.tag in CELLS else "")
        if event == "end":
            parts.append((child is not element and child.tail) or "")
        elif child.tag in UNSEEN or _is_hidden(child):
            walk.skip_subtree()
        else:
            parts.append(child.text or "")
    return "".join(parts)


def _is_hidden(element: etree._Element) -> bool:
    return element.get("hidden") is not None or "display:none" in element.get("style", "").replace(" ", "").lower()
