"""HTTP requests that go to the very address that was checked, and read no more than they should."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kalam.web.addresses import DEFAULT_PORTS, Origin, is_public, origin_of, resolve

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

BODY_TIMEOUTS = 10  # a body may take this many times the timeout

MediaTypes = Mapping[str, str]  # media type, in lower case -> what the reason of a refusal calls it
Kind = Literal["forbidden", "failed", "unreachable"]


class FetchError(Exception):
    """A URL without a page; the message is the reason, as `key: detail`.

    `kind` is one of
    - forbidden: the URL may not be asked for (robots.txt, private addresses, hosts not to be entered);
    - failed: the server's answer is of no use; a crawl keeps that and does not ask again;
    - unreachable: there was no answer, or one that asks to come back later; a crawl asks again when it is resumed.

    `status` is the HTTP status, where it is the reason.
    """

    def __init__(self, reason: str, kind: Kind, status: int | None = None):
        super().__init__(reason)
        self.kind = kind
        self.status = status


def media_type(content_type: str) -> str:
    """The media type of a Content-Type header, without parameters, in lower case; empty where there is none."""
    return content_type.partition(";")[0].strip().lower()


@dataclass
class Connections:
    """Connections by origin. Environment proxies are not used: they would look names up unchecked."""

    private_addresses: bool
    connect_to: Mapping[str, tuple[str, int]]  # host -> (address, port); configured, so always allowed
    timeout: float  # seconds
    max_bytes: int
    resolve: Callable[[str, int], list[str]] = resolve
    clock: Callable[[], float] = time.monotonic
    _pools: "dict[Origin, list[HTTPConnectionPool]]" = field(default_factory=dict)

    def pools_of(self, origin: Origin) -> "list[HTTPConnectionPool]":
        """A pool of connections for each address of a host. The name is looked up once, so it cannot change later.

        Raises FetchError for a private address, OSError for a name without any.
        """
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

        if origin not in self._pools:
            scheme, host, port = origin
            if host in self.connect_to:
                address, port = self.connect_to[host]
                addresses = [address]
            else:
                addresses = self.resolve(host, port)
                private = [address for address in addresses if not is_public(address)]
                if private and not self.private_addresses:
                    raise FetchError(f"private address: {private[0]}", "forbidden")
            if scheme == "https":
                pools = [HTTPSConnectionPool(a, port, server_hostname=host, assert_hostname=host) for a in addresses]
            else:
                pools = [HTTPConnectionPool(a, port) for a in addresses]
            self._pools[origin] = pools
        return self._pools[origin]

    def get(self, url: str, headers: Mapping[str, str]) -> "BaseHTTPResponse":
        """One GET, at the first address that answers; the body is not read yet.

        Raises FetchError as `pools_of`, and OSError or urllib3's HTTPError where there is no answer.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
        from urllib3.util import parse_url

        scheme, host, port = origin_of(url)
        name = f"[{host}]" if ":" in host else host
        host_header = name if port == DEFAULT_PORTS[scheme] else f"{name}:{port}"
        pools = self.pools_of((scheme, host, port))
        for pool in pools:
            try:
                return pool.urlopen(
                    "GET",
                    parse_url(url).request_uri,
                    headers={"Host": host_header, "Accept-Encoding": "gzip, deflate", **headers},
                    redirect=False,
                    retries=False,
                    assert_same_host=False,
                    preload_content=False,
                    timeout=Timeout(connect=self.timeout, read=self.timeout),
                )
            except (NewConnectionError, ConnectTimeoutError):
                if pool is pools[-1]:
                    raise
        raise OSError(f"{host} has no address")

    def read(self, response: "BaseHTTPResponse", types: MediaTypes | None) -> bytes:
        """The body, decompressed. Raises FetchError for a type not in `types`, and where it is too large or slow."""
        found = media_type(response.headers.get("Content-Type", ""))
        if types is not None and found not in types:
            wanted = " or ".join(dict.fromkeys(types.values()))
            raise FetchError(f"not {wanted}: {found or 'no media type'}", "failed")
        body = bytearray()
        started = self.clock()
        for piece in response.stream(16384, decode_content=True):
            body += piece
            if len(body) > self.max_bytes:
                raise FetchError(f"too large: over {self.max_bytes / 1e6:g} MB", "failed")
            if self.clock() - started > BODY_TIMEOUTS * self.timeout:
                raise FetchError("too slow", "failed")
        return bytes(body)
