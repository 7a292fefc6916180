"""Polite HTTP: robots.txt, delays, retries, redirects, conditional requests."""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kalam.web.addresses import Origin, canonical_url, origin_of, resolve, site_of
from kalam.web.connections import Connections, FetchError, MediaTypes

if TYPE_CHECKING:
    from protego import Protego
    from urllib3 import BaseHTTPResponse

log = logging.getLogger(__name__)

REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
RETRY_STATUSES = (429, 500, 502, 503, 504)
MAX_WAIT = 600  # seconds; a server that asks for more, by Retry-After or Crawl-delay, is given up
MAX_BYTES = 20_000_000
ROBOTS_BYTES = 512_000  # of robots.txt that are read (RFC 9309, 2.5)


@dataclass(frozen=True)
class Response:
    """What a server answered: status 200 with a body, or 304 without; `url` is the one after redirects."""

    url: str
    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes


class Fetcher:
    """Fetches URLs, one after another.

    `delay` is in seconds between requests to one site, a host with its port (a longer Crawl-delay wins), `timeout`
    in seconds. `connect_to` gives the address and port to connect to for a host, as curl's option does.
    """

    def __init__(
        self,
        user_agent: str,
        delay: float = 1.0,
        retries: int = 3,
        timeout: float = 20,
        private_addresses: bool = False,
        connect_to: Mapping[str, tuple[str, int]] | None = None,
        max_bytes: int = MAX_BYTES,
        resolve: Callable[[str, int], list[str]] = resolve,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.user_agent, self.delay, self.retries = user_agent, delay, retries
        self.clock, self.sleep = clock, sleep
        self.connections = Connections(private_addresses, connect_to or {}, timeout, max_bytes, resolve)
        self._robots: dict[Origin, Protego | FetchError] = {}
        self._crawl_delays: dict[str, float] = {}
        self._last_request: dict[str, float] = {}

    def fetch(
        self,
        url: str,
        known: Mapping[str, str | None] | None = None,
        sites: Collection[str] | None = None,
        types: MediaTypes | None = None,
    ) -> Response:
        """Fetch a URL as robots.txt allows, following redirects, each hop checked like the first.

        `known` (`url`, `etag`, `last_modified` of an earlier answer) makes the request conditional;
        `sites` are the only ones to be entered, `types` the only media types to be read.

        Raises FetchError.
        """

        def allow(hop: str) -> None:
            if sites is not None and site_of(hop) not in sites:
                raise FetchError("redirect to another host", "forbidden")
            self._check_address(hop)
            robots = self._robots_of(hop)
            if isinstance(robots, FetchError):
                raise robots
            if not robots.can_fetch(hop, self.user_agent):
                raise FetchError("robots.txt forbids", "forbidden")

        return self._follow(url, allow, known or {}, types)

    def sitemaps(self, url: str) -> list[str]:
        """The `Sitemap:` lines in the robots.txt of a URL's host; none where it cannot be had."""
        robots = self._robots_of(url)
        return [] if isinstance(robots, FetchError) else list(robots.sitemaps)

    def _follow(
        self,
        url: str,
        allow: Callable[[str], None],
        known: Mapping[str, str | None],
        types: MediaTypes | None = None,
    ) -> Response:
        hop = canonical_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            if hop is None:
                raise FetchError("not an http or https URL", "forbidden")
            allow(hop)
            # a validator is of one resource, the one at the end of the redirects
            conditions = _conditions(known) if known.get("url") == hop else {}
            response = self._request(hop, conditions, types)
            if response.status == 200 or (response.status == 304 and conditions):
                return response
            if response.status not in REDIRECTS:
                raise FetchError(f"status {response.status}", "failed", response.status)
            hop = canonical_url(_location(response), base=hop)
        raise FetchError(f"more than {MAX_REDIRECTS} redirects", "failed")

    def _check_address(self, url: str) -> None:
        # before robots.txt, for a reason of its own; a name that does not resolve is retried with the request
        with contextlib.suppress(OSError):
            self.connections.pools_of(origin_of(url))

    def _robots_of(self, url: str) -> "Protego | FetchError":
        from protego import Protego

        origin = scheme, host, port = origin_of(url)
        if origin not in self._robots:
            name = f"[{host}]" if ":" in host else host
            try:
                # a redirect of robots.txt may no more lead into a private network than any other
                response = self._follow(f"{scheme}://{name}:{port}/robots.txt", self._check_address, {})
                text = response.body[:ROBOTS_BYTES].decode("utf-8-sig", errors="replace")
                self._robots[origin] = rules = Protego.parse(text)
                self._obey_delay(site_of(url), rules.crawl_delay(self.user_agent) or 0)
            except FetchError as error:
                # RFC 9309, 2.3.1: 4xx is as good as an empty file, a server's error forbids everything
                if error.status and 400 <= error.status < 500 and error.status != 429:
                    self._robots[origin] = Protego.parse("")
                else:
                    self._robots[origin] = FetchError(f"no robots.txt: {error}", error.kind)
        return self._robots[origin]

    def _obey_delay(self, site: str, seconds: float) -> None:
        if seconds > MAX_WAIT:
            raise FetchError(f"Crawl-delay over {MAX_WAIT} s: {seconds:g} s", "forbidden")
        if seconds > self.delay:
            log.info("%s: robots.txt asks for %g s between requests", site, seconds)
        self._crawl_delays[site] = max(seconds, self._crawl_delays.get(site, 0))

    def _request(self, url: str, conditions: Mapping[str, str], types: MediaTypes | None) -> Response:
        from urllib3.exceptions import HTTPError

        site = site_of(url)
        headers = {"User-Agent": self.user_agent, **conditions}
        for attempt in range(self.retries + 1):
            self._pause(site)
            wait = min(2.0**attempt, 60)
            answered = False
            try:
                with self.connections.get(url, headers) as answer:
                    answered = True
                    if answer.status not in RETRY_STATUSES:
                        body = self.connections.read(answer, types) if answer.status == 200 else b""
                        names = {name.lower(): value for name, value in answer.headers.items()}
                        return Response(url, answer.status, names, body)
                    wait = _retry_after(answer, wait)
                    # a site that asks for fewer requests is asked again another time
                    kind = "unreachable" if answer.status == 429 else "failed"
                    error = FetchError(f"status {answer.status}", kind, answer.status)
            except (HTTPError, OSError) as failure:
                kind = "failed" if answered else "unreachable"
                error = FetchError(f"{'broken' if answered else 'no'} answer: {type(failure).__name__}", kind)
            finally:
                self._last_request[site] = self.clock()
            if wait > MAX_WAIT:
                raise FetchError(f"{error}: asks to wait {wait:.0f} s", error.kind, error.status)
            if attempt < self.retries:
                log.info("%s: %s, another try in %.0f s", url, error, wait)
                self.sleep(wait)
        raise error

    def _pause(self, site: str) -> None:
        if site in self._last_request:
            passed = self.clock() - self._last_request[site]
            wait = max(self.delay, self._crawl_delays.get(site, 0)) - passed
            if wait > 0:
                self.sleep(wait)


def _conditions(known: Mapping[str, str | None]) -> dict[str, str]:
    pairs = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("last_modified")}
    return {name: value for name, value in pairs.items() if value}


def _location(response: Response) -> str:
    location = response.headers.get("location", "")
    try:  # header bytes come as Latin-1, but servers put bare UTF-8 there
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def _retry_after(answer: "BaseHTTPResponse", otherwise: float) -> float:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    try:
        return Retry().parse_retry_after(answer.headers["Retry-After"])
    except (KeyError, InvalidHeader, ValueError, OverflowError):  # none, or one beyond the calendar
        return otherwise
