"""The URLs that a crawl has still to visit, and those it starts from."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from kalam.files.errors import InputError
from kalam.web.addresses import canonical_url, site_of
from kalam.web.connections import FetchError
from kalam.web.fetcher import Fetcher
from kalam.web.sitemaps import is_sitemap, sitemap_urls


class Frontier:
    """The URLs still to be visited, first in first out, each once, of some sites (`site_of`) only."""

    def __init__(self, sites: Iterable[str]):
        self.sites = set(sites)
        self._queue: deque[tuple[str, int]] = deque()
        self._seen: set[str] = set()

    def add(self, url: str, depth: int) -> None:
        """Queue a URL at `depth` links from the start, unless it was queued before or is of another site."""
        if url not in self._seen and site_of(url) in self.sites:
            self._seen.add(url)
            self._queue.append((url, depth))

    def pop(self) -> tuple[str, int]:
        """The next URL and its depth."""
        return self._queue.popleft()

    def __len__(self) -> int:
        return len(self._queue)


def start_urls(given: Collection[str]) -> list[str]:
    """The URLs a crawl starts from, canonical, each once. Raises InputError for what is no http(s) URL."""
    urls = {start: canonical_url(start) for start in given}
    for start, url in urls.items():
        if url is None:
            raise InputError(f"start: {start}: not an http or https URL")
    return list(dict.fromkeys(urls.values()))


def add_start_urls(
    frontier: Frontier, start: Collection[str], fetcher: Fetcher, most: int
) -> Iterator[tuple[str, FetchError]]:
    """Queue canonical start URLs, or where one is a sitemap, what it lists, until more than `most` are queued.

    Yields the sitemaps that cannot be read to their end, and what they list of other hosts, each with its error.
    Raises InputError where a sitemap in `start` does not answer.
    """
    for url in start:
        if not is_sitemap(url):
            frontier.add(url, 0)
            continue
        for found, error in sitemap_urls(fetcher, url, frontier.sites):
            if error is None:
                frontier.add(found, 0)
            elif found == url and error.kind == "unreachable":
                raise InputError(f"start: {url}: {error}")
            else:
                yield found, error
            if len(frontier) > most:
                break
