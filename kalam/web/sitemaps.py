"""Sitemaps: lists of URLs that sites publish for crawlers."""

import zlib
from collections import deque
from collections.abc import Collection, Iterator

from kalam.web.addresses import canonical_url, origin_of
from kalam.web.connections import FetchError
from kalam.web.fetcher import MAX_BYTES, Fetcher

MAX_SITEMAPS = 1000


def is_sitemap(url: str) -> bool:
    """Whether a URL is to be read as a sitemap."""
    return url.partition("?")[0].endswith((".xml", ".xml.gz"))


def sitemap_urls(fetcher: Fetcher, start: str, hosts: Collection[str]) -> Iterator[tuple[str, FetchError | None]]:
    """The page URLs of a sitemap, of those it names, and of those in its host's robots.txt, in that order.

    Sitemaps on other hosts are left alone. One that cannot be read is yielded with its error.
    """
    queue, seen = deque([start]), {start}

    def add(locations: list[str], base: str) -> None:
        for url in filter(None, (canonical_url(location, base) for location in locations)):
            if url not in seen and origin_of(url)[1] in hosts:
                seen.add(url)
                queue.append(url)

    while queue and len(seen) <= MAX_SITEMAPS:
        url = queue.popleft()
        try:
            kind, locations = parse_sitemap(fetcher.fetch(url, hosts=hosts).body)
        except FetchError as error:
            yield url, error
        else:
            if kind == "sitemapindex":
                add(locations, url)
            else:
                yield from ((page, None) for page in filter(None, (canonical_url(place, url) for place in locations)))
        if url == start:
            add(fetcher.sitemaps(start), start)


def parse_sitemap(body: bytes) -> tuple[str, list[str]]:
    """`urlset` or `sitemapindex`, and the locations in it; entities are not resolved, gzip is undone.

    Raises FetchError for anything else.
    """
    from lxml import etree

    if body.startswith(b"\x1f\x8b"):
        try:
            body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, MAX_BYTES)
        except zlib.error:
            raise FetchError("broken gzip", "failed") from None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    root = etree.fromstring(body, parser) if body.strip() else None
    kind = "" if root is None else etree.QName(root).localname
    if kind not in ("urlset", "sitemapindex"):
        raise FetchError("not a sitemap", "failed")
    # {*}: sites leave the namespace out, or misspell it
    return kind, [location.text.strip() for location in root.iterfind("{*}*/{*}loc") if location.text]
