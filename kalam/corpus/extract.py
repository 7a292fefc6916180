"""Main text, title and author of an HTML page, with its joiners, verses and stanzas."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    from kalam.web.parsing import TooDeep, parse_page

    try:
        tree = parse_page(decode(body, content_type))
    except (UnicodeError, TooDeep) as error:
        raise NothingToKeep(str(error)) from None
    if tree is None:
        raise NothingToKeep("not HTML")
    if tree.find("body") is None:
        raise NothingToKeep("no text: no body")
    marks = mark_page(tree)
    try:
        title, author = _title_and_author(tree, marks)
        element = tree.find("body") if mode == "text" else _main_element(tree, url)
    except Exception as error:
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
    """The share of a text's characters in words that some link of the page consists of.

    trafilatura may have run a list together, so links are sought anywhere between spaces, the longest first.
    """
    links: dict[
        str, Any
    ] = {}  # the links by their first word, those by their second, and so on; under "" where one ends
    for link in tree.iterfind(".//a[@href]"):
        place = links
        for word in marks.restore(link.text_content()).split():
            place = place.setdefault(word, {})
        place[""] = True
    words = text.split()
    at = found = 0
    while at < len(words):
        length = _longest(links, words, at)
        found += len(" ".join(words[at : at + length]))
        at += max(length, 1)
    return found / len(" ".join(words))


def _longest(links: dict[str, Any], words: list[str], at: int) -> int:
    """The number of words, from the one at `at` on, of the longest link that is there; 0 where none is."""
    longest = 0
    for end in range(at, len(words)):
        links = links.get(words[end])
        if links is None:
            break
        longest = end + 1 - at if "" in links else longest
    return longest
