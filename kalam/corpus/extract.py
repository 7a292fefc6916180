"""Main text, title and author of an HTML page, with its joiners, verses and stanzas."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kalam.text.encoding import decode

if TYPE_CHECKING:
    from lxml.html import HtmlElement

    from kalam.corpus.markup import Marks

LINKS = 0.5  # share of an article's characters in links, from which it is a listing


@dataclass(frozen=True)
class Article:
    """What a page says."""

    text: str
    title: str | None
    author: str | None


class NothingToKeep(Exception):
    """A page without text; the message is the reason, as `key: detail`."""


def extract(body: bytes, mode: str = "article", content_type: str | None = None, url: str | None = None) -> Article:
    """The text of a page: its main text by trafilatura (`article`), or all that is visible (`text`).

    Lines of verse are lines, stanzas are parted by a blank line, and invisible characters
    (joiners above all) stay where they were.

    Raises NothingToKeep with the reason.
    """
    from kalam.corpus.markup import mark_page, plain_text
    from kalam.web.parsing import parse_page

    try:
        tree = parse_page(decode(body, content_type))
    except UnicodeError as error:
        raise NothingToKeep(str(error)) from None
    if tree is None or tree.find("body") is None:
        raise NothingToKeep("not HTML")
    marks = mark_page(tree)
    try:
        title, author = _title_and_author(tree, marks)
        element = tree.find("body") if mode == "text" else _main_element(tree, url)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # heuristics trip over a page in a million; one page must not stop a corpus
        raise NothingToKeep(f"extraction failed: {type(error).__name__}") from None
    text = "" if element is None else marks.restore(plain_text(element))
    if not text:
        raise NothingToKeep("no text")
    if mode == "article" and _share_of_links(text, tree, marks) > LINKS:
        raise NothingToKeep("mostly links")
    return Article(text, title, author)


def _main_element(tree: "HtmlElement", url: str | None) -> "HtmlElement | None":
    from trafilatura import bare_extraction

    document = bare_extraction(tree, url=url, include_comments=False)
    return document and document.body


def _title_and_author(tree: "HtmlElement", marks: "Marks") -> tuple[str | None, str | None]:
    from trafilatura.metadata import extract_metadata

    metadata = extract_metadata(tree, extensive=False)
    title, author = (
        marks.restore(value or "").replace("\n", " ") or None for value in (metadata.title, metadata.author)
    )
    return title, author


def _share_of_links(text: str, tree: "HtmlElement", marks: "Marks") -> float:
    """The share of a text's characters in words that some link of the page consists of."""
    links = {" ".join(marks.restore(link.text_content()).split()) for link in tree.iterfind(".//a[@href]")} - {""}
    longest_first = "|".join(map(re.escape, sorted(links, key=lambda link: (-len(link), link))))
    words = " ".join(text.split())
    # trafilatura may have run a list together, so links are sought anywhere between spaces
    found = re.findall(rf"(?<!\S)(?:{longest_first})(?!\S)", words) if links else []
    return sum(map(len, found)) / len(words)
