"""The links of an HTML page that a crawler may follow."""

from kalam.text.encoding import decode
from kalam.web.addresses import canonical_url

HTML_TYPES = {"text/html": "HTML", "application/xhtml+xml": "HTML"}


def links_of(body: bytes, content_type: str, url: str) -> list[str]:
    """The URLs a page links to, in its order, each once; none where `nofollow` stands, on the link or the page."""
    from kalam.web.parsing import parse_page

    try:
        tree = parse_page(decode(body, content_type))
    except UnicodeError:
        return []
    if tree is None:
        return []
    robots = [meta.get("content", "") for meta in tree.iter("meta") if meta.get("name", "").lower() == "robots"]
    if not all(map(may_follow, robots)):
        return []
    base = next((canonical_url(base.get("href"), url) for base in tree.iter("base") if base.get("href")), None)
    found = (
        canonical_url(link.get("href"), base or url)
        for link in tree.iter("a", "area")
        if link.get("href") and "nofollow" not in link.get("rel", "").lower().split()
    )
    return list(dict.fromkeys(filter(None, found)))


def may_follow(robots: str) -> bool:
    """Whether the content of a robots meta element or X-Robots-Tag header leaves links to be followed."""
    return not {"nofollow", "none"} & {directive.strip() for directive in robots.lower().split(",")}
