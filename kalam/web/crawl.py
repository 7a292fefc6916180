"""A breadth-first crawl of a site that can be killed, resumed, and repeated for changes only."""

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kalam.files.errors import InputError
from kalam.web.addresses import site_of
from kalam.web.connections import FetchError, MediaTypes, media_type
from kalam.web.fetcher import Fetcher
from kalam.web.frontier import Frontier, add_start_urls, start_urls
from kalam.web.links import HTML_TYPES, links_of, may_follow
from kalam.web.store import Record, Store

log = logging.getLogger(__name__)

MAX_UNANSWERED = 5  # URLs in a row without an answer, after which the site is taken to be down


@dataclass(frozen=True)
class Page:
    """A page as fetched, of any media type.

    `url` is the one after redirects, `path` the file of its body, which stays at least until the
    crawl is finished, `content_type` the header (media type and parameters, such as the charset),
    `retrieved` when this content was first seen (ISO, UTC).
    """

    url: str
    path: Path
    content_type: str
    retrieved: str

    @property
    def body(self) -> bytes:
        """The bytes of the page, read from the file at each call."""
        return self.path.read_bytes()

    @property
    def media_type(self) -> str:
        """The media type alone, in lower case."""
        return media_type(self.content_type)


@dataclass(frozen=True)
class Refusal:
    """A URL that gave no page; the reason is `key: detail`."""

    url: str
    reason: str


def utc_now() -> str:
    """The time, to the second, in ISO form."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def crawl(
    fetcher: Fetcher,
    store: Store,
    start: Collection[str],
    types: MediaTypes,
    max_pages: int,
    max_depth: int,
    now: Callable[[], str] = utc_now,
) -> Iterator[Page | Refusal]:
    """Pages of the hosts of `start` (a port is part of one), breadth first, links in the order of the page, each once.

    Only pages of the media types in `types` are fetched. Links are found in HTML alone, so a crawl
    for other types that is to go beyond its start and sitemaps asks for HTML as well.

    Every answer is in the store before the next request; the caller begins and finishes the crawl
    there. A start URL that redirects to another host adds that host.

    Raises InputError where a start URL, or MAX_UNANSWERED URLs in a row, do not answer.
    """
    first = start_urls(start)
    frontier = Frontier(map(site_of, first))
    for url, error in add_start_urls(frontier, first, fetcher, max_pages):
        yield Refusal(url, str(error))
    visited: set[str] = set()
    requested = unanswered = 0
    while frontier and requested < max_pages:
        url, depth = frontier.pop()
        if url in visited:
            continue
        try:
            record = _visit(url, fetcher, store, types, None if url in first else frontier.sites, now)
        except FetchError as error:
            requested += error.kind != "forbidden"
            unanswered = unanswered + 1 if error.kind == "unreachable" else 0
            if unanswered and url in first:
                raise InputError(f"start: {url}: {error}") from None
            if unanswered == MAX_UNANSWERED:
                raise InputError(
                    f"{url}: {error}, {MAX_UNANSWERED} URLs in a row; run again to go on from here"
                ) from None
            yield Refusal(url, str(error))
            continue
        requested, unanswered = requested + 1, 0
        if record["final"] in visited:
            yield Refusal(url, f"duplicate: redirects to {record['final']}")
            continue
        visited.add(record["final"])
        if url in first:
            frontier.sites.add(site_of(record["final"]))
        page = Page(record["final"], store.body_path(record["sha256"]), record["content_type"], record["retrieved"])
        starts, deeper = url in first, depth < max_depth
        if (starts or deeper) and page.media_type in HTML_TYPES and may_follow(record["robots_tag"]):
            links, onward = links_of(page.body, page.content_type, page.url)
            for link in onward if starts else ():
                # where a start page leads by itself is no step away from the start
                frontier.add(link, depth)
                if site_of(link) not in frontier.sites:
                    yield Refusal(link, f"another host: {site_of(link)}")
            for link in [*links, *onward] if deeper else ():
                frontier.add(link, depth + 1)
        yield page
    if frontier:
        log.info("max_pages = %d reached, %d known URLs were not visited", max_pages, len(frontier))


def _visit(
    url: str,
    fetcher: Fetcher,
    store: Store,
    types: MediaTypes,
    sites: Collection[str] | None,
    now: Callable[[], str],
) -> Record:
    """The record of a URL as of this crawl, from the store or the server. Raises FetchError."""
    old = store.get(url)
    kept = old if old and "sha256" in old and media_type(old["content_type"]) in types else None
    if store.is_current(old):
        if kept:
            return kept
        # where other types were asked for before the crawl was killed, the answer may now be of use
        if "failed" in old and old.get("types") == sorted(types):
            raise FetchError(old["failed"], "failed")
    known = kept and {"url": kept["final"], "etag": kept["etag"], "last_modified": kept["last_modified"]}
    try:
        response = fetcher.fetch(url, known, sites, types)
    except FetchError as error:
        if error.kind == "failed":
            store.put(url, {"url": url, "failed": str(error), "types": sorted(types)})
        raise
    if response.status == 304:
        return store.put(url, kept)
    sha256 = store.put_body(response.body)
    unchanged = kept and (kept["sha256"], kept["final"]) == (sha256, response.url)
    record = {
        "url": url,
        "final": response.url,
        "sha256": sha256,
        "content_type": response.headers.get("content-type", ""),
        "etag": response.headers.get("etag"),
        "last_modified": response.headers.get("last-modified"),
        "robots_tag": response.headers.get("x-robots-tag", ""),
        "retrieved": kept["retrieved"] if unchanged else now(),
    }
    return store.put(url, record)
