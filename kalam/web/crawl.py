"""A breadth-first crawl of a site that can be killed, taken up again, and repeated for changes only."""

import base64
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kalam.files.errors import InputError
from kalam.web.addresses import canonical_url, origin_of
from kalam.web.connections import FetchError
from kalam.web.fetcher import Fetcher
from kalam.web.links import links_of, may_follow
from kalam.web.sitemaps import is_sitemap, sitemap_urls
from kalam.web.store import Record, Store

log = logging.getLogger(__name__)

PAGE_TYPES = ("text/html", "application/xhtml+xml")
PATIENCE = 5  # URLs in a row without an answer, after which the site is taken to be down


@dataclass(frozen=True)
class Page:
    """A page as fetched; `url` is the one after redirects, `retrieved` when this content was first seen (ISO, UTC)."""

    url: str
    body: bytes
    content_type: str
    retrieved: str


@dataclass(frozen=True)
class Refusal:
    """A URL that gave no page; the reason is `key: detail`."""

    url: str
    reason: str


class Frontier:
    """The URLs still to be visited, first in first out, each once, of some hosts only."""

    def __init__(self, hosts: Iterable[str]):
        self.hosts = set(hosts)
        self._queue: deque[tuple[str, int]] = deque()
        self._seen: set[str] = set()

    def add(self, url: str, depth: int) -> None:
        """Line up a URL at `depth` links from the start."""
        if url not in self._seen and origin_of(url)[1] in self.hosts:
            self._seen.add(url)
            self._queue.append((url, depth))

    def pop(self) -> tuple[str, int]:
        """The next URL and its depth."""
        return self._queue.popleft()

    def __len__(self) -> int:
        return len(self._queue)


def utc_now() -> str:
    """The time, to the second, in ISO form."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def crawl(
    fetcher: Fetcher,
    store: Store,
    start: Collection[str],
    max_pages: int,
    max_depth: int,
    now: Callable[[], str] = utc_now,
) -> Iterator[Page | Refusal]:
    """Pages of the hosts of `start`, breadth first, links in the order of the page, each URL once.

    Every answer is in the store before the next request; the caller begins and finishes the crawl
    there. A start URL that redirects to another host adds that host.

    Raises InputError where a start URL, or PATIENCE URLs in a row, do not answer.
    """
    first = _start_urls(start)
    frontier = Frontier(origin_of(url)[1] for url in first)
    yield from _line_up(first, frontier, fetcher, max_pages)
    visited: set[str] = set()
    requested = silent = 0
    while frontier and requested < max_pages:
        url, depth = frontier.pop()
        if url in visited:
            continue
        try:
            record = _visit(url, fetcher, store, None if url in first else frontier.hosts, now)
        except FetchError as error:
            requested += error.kind != "forbidden"
            silent = silent + 1 if error.kind == "unreachable" else 0
            if silent and url in first:
                raise InputError(f"start: {url}: {error}") from None
            if silent == PATIENCE:
                raise InputError(f"{url}: {error}, {PATIENCE} URLs in a row; run again to go on from here") from None
            yield Refusal(url, str(error))
            continue
        requested, silent = requested + 1, 0
        if record["final"] in visited:
            yield Refusal(url, f"duplicate: redirects to {record['final']}")
            continue
        visited.add(record["final"])
        if url in first:
            frontier.hosts.add(origin_of(record["final"])[1])
        page = Page(record["final"], base64.b64decode(record["body"]), record["content_type"], record["retrieved"])
        if depth < max_depth and may_follow(record["robots_tag"]):
            for link in links_of(page.body, page.content_type, page.url):
                frontier.add(link, depth + 1)
        yield page
    if frontier:
        log.info("max_pages = %d reached, %d known URLs were not visited", max_pages, len(frontier))


def _start_urls(start: Collection[str]) -> list[str]:
    urls = {given: canonical_url(given) for given in start}
    for given, url in urls.items():
        if url is None:
            raise InputError(f"start: {given}: not an http or https URL")
    return list(dict.fromkeys(urls.values()))


def _line_up(first: list[str], frontier: Frontier, fetcher: Fetcher, most: int) -> Iterator[Refusal]:
    """Fill the frontier from the start URLs and what sitemaps list; yields the sitemaps that cannot be read."""
    for url in first:
        if not is_sitemap(url):
            frontier.add(url, 0)
            continue
        for found, error in sitemap_urls(fetcher, url, frontier.hosts):
            if error is None:
                frontier.add(found, 0)
            elif found == url and error.kind == "unreachable":
                raise InputError(f"start: {url}: {error}")
            else:
                yield Refusal(found, str(error))
            if len(frontier) > most:
                break


def _visit(url: str, fetcher: Fetcher, store: Store, hosts: Collection[str] | None, now: Callable[[], str]) -> Record:
    """The record of a URL as of this crawl, from the store or the server. Raises FetchError."""
    old = store.get(url)
    if store.is_current(old):
        if "failed" in old:
            raise FetchError(old["failed"], "failed")
        return old
    kept = old if old and "body" in old else None
    known = kept and {"url": kept["final"], "etag": kept["etag"], "last_modified": kept["last_modified"]}
    try:
        response = fetcher.fetch(url, known, hosts, PAGE_TYPES)
    except FetchError as error:
        if error.kind == "failed":
            store.put(url, {"url": url, "failed": str(error)})
        raise
    if response.status == 304:
        return store.put(url, kept)
    body = base64.b64encode(response.body).decode("ascii")
    unchanged = kept and (kept["body"], kept["final"]) == (body, response.url)
    record = {
        "url": url,
        "final": response.url,
        "content_type": response.headers.get("content-type", ""),
        "etag": response.headers.get("etag"),
        "last_modified": response.headers.get("last-modified"),
        "robots_tag": response.headers.get("x-robots-tag", ""),
        "retrieved": kept["retrieved"] if unchanged else now(),
        "body": body,
    }
    return store.put(url, record)
