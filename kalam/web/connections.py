"""HTTP requests that go to the very address that was checked, and read no more than they should."""

import contextlib
import socket
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from kalam.web.addresses import DEFAULT_PORTS, Origin, is_public, origin_of, resolve
from kalam.web.content_encoding import Pieces, unpacked

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

REQUEST_TIMEOUTS = 10  # a request may take this many times the timeout, from the connection to the end of the body

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
    _pools: "dict[Origin, list[HTTPConnectionPool]]" = field(default_factory=dict)
    _sockets: "dict[HTTPConnectionPool, socket.socket]" = field(default_factory=dict)  # the latest of each pool

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
            for pool in pools:
                self._remember_socket(pool)
            self._pools[origin] = pools
        return self._pools[origin]

    @contextlib.contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> "Iterator[BaseHTTPResponse]":
        """One GET, at the first address that answers, for as long as the block runs; the body is not read yet.

        Raises FetchError as `pools_of`, and where the time of the request is over, in the block too; OSError or
        urllib3's HTTPError where there is no answer.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
        from urllib3.util import parse_url

        scheme, host, port = origin_of(url)
        name = f"[{host}]" if ":" in host else host
        host_header = name if port == DEFAULT_PORTS[scheme] else f"{name}:{port}"
        pools = self.pools_of((scheme, host, port))
        if not pools:
            raise OSError(f"{host} has no address")
        for pool in pools:
            with self._deadline(pool):
                try:
                    answer = pool.urlopen(
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
                    continue
                with answer:
                    yield answer
                return

    def read(self, response: "BaseHTTPResponse", types: MediaTypes | None) -> bytes:
        """The body, unpacked. Raises FetchError for a type not in `types`, where it is too large, and where it is
        packed in a way that is not known; OSError or urllib3's HTTPError where it is cut short or broken."""
        from urllib3.exceptions import DecodeError

        found = media_type(response.headers.get("Content-Type", ""))
        if types is not None and found not in types:
            wanted = " or ".join(dict.fromkeys(types.values()))
            raise FetchError(f"not {wanted}: {found or 'no media type'}", "failed")
        body = self._bounded(response.stream(16384, decode_content=False))
        encoding = response.headers.get("Content-Encoding", "")
        try:
            for coding in reversed(encoding.split(",")):  # the last one was put on last
                body = self._bounded(unpacked(body, coding))
        except LookupError:
            raise FetchError(f"not unpacked: Content-Encoding {encoding}", "failed") from None
        except (EOFError, OSError, zlib.error) as error:
            raise DecodeError(f"Content-Encoding {encoding}: {error}") from None
        return body

    def _bounded(self, pieces: Pieces) -> bytes:
        body = bytearray()
        for piece in pieces:
            body += piece
            if len(body) > self.max_bytes:
                raise FetchError(f"too large: over {self.max_bytes / 1e6:g} MB", "failed")
        return bytes(body)

    def _remember_socket(self, pool: "HTTPConnectionPool") -> None:
        """Have a pool's connections leave their socket in `_sockets` as soon as they have one."""
        make = pool.ConnectionCls

        def connection(**options: Any):
            made = make(**options)
            connect = made.connect

            def connect_and_remember() -> None:
                connect()
                self._sockets[pool] = made.sock

            made.connect = connect_and_remember
            return made

        pool.ConnectionCls = connection

    @contextlib.contextmanager
    def _deadline(self, pool: "HTTPConnectionPool") -> Iterator[None]:
        """End a request by the clock: a server that trickles keeps every single read below the timeout, be it of the
        status line, of headers, of one `100 Continue` after the other, or of the body."""
        over = threading.Event()

        def end() -> None:
            over.set()
            with contextlib.suppress(KeyError, OSError):
                self._sockets[pool].shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(REQUEST_TIMEOUTS * self.timeout, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if not over.is_set():
                raise
        finally:
            timer.cancel()
        if over.is_set():
            raise FetchError(f"too slow: over {REQUEST_TIMEOUTS * self.timeout:g} s", "unreachable")
