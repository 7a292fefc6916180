"""URLs in one form, and the addresses that may be connected to."""

import ipaddress
import socket
from urllib.parse import urljoin

DEFAULT_PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Origin = tuple[str, str, int]  # scheme, host, port


def canonical_url(url: str, base: str | None = None) -> str | None:
    """The one form of an http(s) URL, joined to `base`: lower-case host in ASCII, escaped path, no
    default port, fragment or credentials; None for anything else."""
    from urllib3.exceptions import LocationParseError
    from urllib3.util import Url, parse_url

    try:
        parts = parse_url(urljoin(base, url.strip()) if base else url.strip())
    except (LocationParseError, ValueError):
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.host:
        return None
    port = None if parts.port == DEFAULT_PORTS[parts.scheme] else parts.port
    return Url(parts.scheme, None, parts.host, port, parts.path or "/", parts.query).url


def origin_of(url: str) -> Origin:
    """Scheme, host (without an IPv6 address's brackets) and port of a canonical URL."""
    from urllib3.util import parse_url

    parts = parse_url(url)
    return parts.scheme, parts.host.strip("[]"), parts.port or DEFAULT_PORTS[parts.scheme]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once, in the resolver's order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(entry[4][0] for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is one of the global internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or [None])[-1]
        if ip in NAT64:
            inner = ipaddress.ip_address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast
