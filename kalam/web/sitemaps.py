"""Sitemaps: lists of URLs that sites publish for crawlers."""

import re
import zlib
from collections import deque
from collections.abc import Iterator

from kalam.text.encoding import decode
from kalam.web.addresses import canonical_url, site_of
from kalam.web.connections import FetchError
from kalam.web.content_encoding import unpacked
from kalam.web.fetcher import MAX_BYTES, Fetcher
from kalam.web.parsing import NOT_XML

MAX_SITEMAPS = 1000  # of one start URL
GZIP = b"\x1f\x8b"
DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>")
# Many write URLs as they are. In a section of CDATA that is right.
CDATA = re.compile(r"(<!\[CDATA\[.*?\]\]>)", re.DOTALL)
BARE_AMPERSAND = re.compile(r"&(?!#?\w{1,32};)")
LOCATION = re.compile(r"<(?:[\w.-]+:)?loc\b")


def is_sitemap(url: str) -> bool:
    """Whether a URL is to be read as a sitemap."""
    return url.partition("?")[0].lower().endswith((".xml", ".xml.gz"))


def sitemap_urls(fetcher: Fetcher, start: str, sites: set[str]) -> Iterator[tuple[str, FetchError | None]]:
    """The page URLs of a sitemap, of those it names, and of those in its host's robots.txt, in that order.

    A sitemap that cannot be read, or not to its end, and what is of no site in `sites` is yielded with its error.
    `start` may be redirected to another site, which is added to `sites`.
    """
    queue, seen, left_out = deque([start]), {start}, 0
    while queue:
        url = queue.popleft()
        named: list[tuple[str, str]] = []  # sitemaps, as they are written, each with the URL it is relative to
        try:
            response = fetcher.fetch(url, sites=None if url == start else sites)
            kind, locations, error = parse_sitemap(response.body)
        except FetchError as unreadable:
            yield url, unreadable
        else:
            sites.add(site_of(response.url))
            if kind == "sitemapindex":
                named += ((place, response.url) for place in locations)
            else:
                yield from (_checked(place, response.url, sites) for place in locations)
            if error:
                yield url, error
        if url == start:
            named += ((place, start) for place in fetcher.sitemaps(start))
        for place, base in named:
            location, refused = _checked(place, base, sites)
            if refused:
                yield location, refused
            elif location not in seen:
                full = len(seen) == MAX_SITEMAPS
                left_out += full
                if not full:
                    seen.add(location)
                    queue.append(location)
    if left_out:
        yield start, FetchError(f"more than {MAX_SITEMAPS} sitemaps: {left_out} left out", "failed")


def _checked(place: str, base: str, sites: set[str]) -> tuple[str, FetchError | None]:
    """The canonical URL of a location, and why it may not be entered."""
    url = canonical_url(place, base)
    if url is None:
        return place, FetchError("not an http or https URL", "forbidden")
    return url, None if site_of(url) in sites else FetchError(f"another host: {site_of(url)}", "forbidden")


def parse_sitemap(body: bytes) -> tuple[str, list[str], FetchError | None]:
    """`urlset` or `sitemapindex`, the locations in it, and what is wrong where it ends before its time; entities are
    not resolved, gzip is undone.

    Raises FetchError for anything else, and where it is too large.
    """
    from lxml import etree

    error = None
    if body.startswith(GZIP):
        body, error = _unzip(body)
    try:
        text = decode(body)
    except UnicodeError:  # a byte too many is no reason to leave all URLs
        text = body.decode("utf-8", errors="replace")
    text = NOT_XML.sub("", DECLARATION.sub("", text, count=1))
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        recover=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(_mended(text).encode("utf-8", errors="replace"), parser)
    except etree.XMLSyntaxError:
        root = None
    prefix, _, kind = ("" if root is None else root.tag).rpartition("}")[2].rpartition(":")
    if kind not in ("urlset", "sitemapindex"):
        raise error or FetchError("not a sitemap", "failed")
    # sites leave the namespace out, or misspell it
    names = {"loc", f"{prefix}:loc"}
    entries = (place for entry in root.iterchildren(etree.Element) for place in entry.iterchildren(etree.Element))
    places = [place for place in entries if place.tag.rpartition("}")[2] in names]
    fatal = [entry for entry in parser.error_log if entry.level == etree.ErrorLevels.FATAL]
    if error is None and (broken := [each for each in fatal if each.type != etree.ErrorTypes.ERR_UNDECLARED_ENTITY]):
        error = FetchError(f"broken sitemap: {' '.join(broken[0].message.split())}", "failed")
    if error and LOCATION.search(text.rpartition("</")[2]):
        del places[-1:]  # half a URL
    locations = (place.text.strip() for place in places if place.text)
    return kind, list(dict.fromkeys(filter(None, locations))), error


def _mended(text: str) -> str:
    """Bare ampersands escaped, but for those in sections of CDATA."""
    closed, end, rest = text.rpartition("]]>")
    parts = [*CDATA.split(closed + end), rest]
    return "".join(part if part.startswith("<![CDATA[") else BARE_AMPERSAND.sub("&amp;", part) for part in parts)


def _unzip(body: bytes) -> tuple[bytes, FetchError | None]:
    """What of a gzip file can be unpacked, and what is wrong with the rest. Raises FetchError where it is too large."""
    text = bytearray()
    try:
        for piece in unpacked(body, "gzip"):
            text += piece
            if len(text) > MAX_BYTES:
                raise FetchError(f"too large: over {MAX_BYTES / 1e6:g} MB", "failed")
    except (EOFError, OSError, zlib.error) as error:
        return bytes(text), FetchError(f"broken gzip: {error}", "failed")
    return bytes(text), None
