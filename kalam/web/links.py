"""The links of an HTML page that a crawler may follow."""

import re
from typing import TYPE_CHECKING

from kalam.text.encoding import decode
from kalam.web.addresses import canonical_url

if TYPE_CHECKING:
    from lxml.html import HtmlElement

HTML_TYPES = {"text/html": "HTML", "application/xhtml+xml": "HTML"}


# what follows the seconds (WHATWG HTML, 4.2.5.3, "Refresh state")
REFRESH = re.compile(
    r"""[\d.]*+(?=[;,\s])\s*+[;,]?+\s*+(?:url\s*+=\s*+)?+(?:"([^"]+)|'([^']+)|([^"'].*))""", re.IGNORECASE | re.DOTALL
)


def links_of(body: bytes, content_type: str, url: str) -> tuple[list[str], list[str]]:
    """The URLs a page links to, and those it leads on to by itself, which are the target of a refresh and the pages
    of a frameset; in its order, each once; none where `nofollow` stands, on the link or the page."""
    from kalam.web.parsing import TooDeep, parse_page

    try:
        tree = parse_page(decode(body, content_type))
    except (UnicodeError, TooDeep):
        return [], []
    if tree is None:
        return [], []
    robots = [meta.get("content", "") for meta in tree.iter("meta") if meta.get("name", "").lower() == "robots"]
    if not all(map(may_follow, robots)):
        return [], []
    base = next((canonical_url(base.get("href"), url) for base in tree.iter("base") if base.get("href")), None)
    links = [link.get("href") for link in tree.iter("a", "area") if not _is_nofollow(link)]
    onward = [_refresh(meta) for meta in tree.iter("meta")] + [frame.get("src") for frame in tree.iter("frame")]
    return _canonical(links, base or url), _canonical(onward, base or url)


def _is_nofollow(link: "HtmlElement") -> bool:
    return "nofollow" in link.get("rel", "").lower().split()


def _refresh(meta: "HtmlElement") -> str | None:
    if meta.get("http-equiv", "").strip().lower() != "refresh":
        return None
    found = REFRESH.match(meta.get("content", "").strip())
    return found and next(filter(None, found.groups()))


def _canonical(found: list[str | None], base: str) -> list[str]:
    urls = (canonical_url(reference, base) for reference in dict.fromkeys(filter(None, found)))
    return list(dict.fromkeys(filter(None, urls)))


def may_follow(robots: str) -> bool:
    """Whether the content of a robots meta element or X-Robots-Tag header leaves links to be followed."""
    return not {"nofollow", "none"} & {directive.strip() for directive in robots.lower().split(",")}
