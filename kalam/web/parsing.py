"""The tree of an HTML page, as a browser reads it: unclosed and broken elements are mended."""

import re

from lxml import etree
from lxml.html import HtmlElement, HTMLParser, document_fromstring

# an unclosed comment would swallow the rest of the page
OPEN_COMMENT = re.compile(r"<!--[^>]*>|<!--")
NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def parse_page(text: str) -> HtmlElement | None:
    """The tree of an HTML or XHTML page, broken markup mended; None where there is no element."""
    text = NOT_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    closed, arrow, rest = text.rpartition("-->")
    text = closed + arrow + OPEN_COMMENT.sub("", rest)
    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        return document_fromstring(text.encode("utf-8", errors="replace"), parser=parser)
    except etree.ParserError:
        return None
