"""The tree of an HTML page, as a browser reads it: unclosed and broken elements are mended."""

import re

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from kalam.web.nesting import flatten

NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
OPEN_COMMENT = re.compile(r"<!--[^>]*>")
MAX_DEPTH = 64  # elements in one another, of a page that libxml2 gives up, which it does at 256


class TooDeep(ValueError):
    """A page whose elements cannot be told apart, so deep are they in one another."""


def parse_page(text: str) -> HtmlElement | None:
    """The tree of an HTML or XHTML page, broken markup mended; None where there is no element.

    Where elements are too deep in one another for the parser, text and links of the deep ones are kept. Raises
    TooDeep where that does not help.
    """
    text = _close_comments(NOT_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    tree, whole = _parse(text)
    if not whole:
        tree, whole = _parse(flatten(text, MAX_DEPTH))
    if not whole:
        raise TooDeep("elements too deep in one another")
    return tree


def _parse(text: str) -> tuple[HtmlElement | None, bool]:
    """The tree, and whether the parser came to the end."""
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = document_fromstring(text.encode("utf-8", errors="replace"), parser=parser)
    except etree.ParserError:
        tree = None
    return tree, all(entry.type != etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log)


def _close_comments(text: str) -> str:
    """A page without its unclosed comments, each of which would swallow the rest of it."""
    closed, arrow, rest = text.rpartition("-->")
    ended, mark, last = rest.rpartition(">")
    return closed + arrow + OPEN_COMMENT.sub("", ended + mark) + last.replace("<!--", "")
