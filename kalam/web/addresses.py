"""URLs in one form, and the addresses that may be connected to."""

import ipaddress
import re
import socket
from urllib.parse import urljoin

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL = 2048  # characters of a URL, the most that a sitemap may list (sitemaps.org)
# A name as the DNS has it (RFC 1035, 2.3.4; underscores occur), or an address.
HOST = re.compile(r"(?=.{1,254}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|\[[0-9a-f:.]+(?:%[\w.-]+)?\]")
# The last 32 bits are the IPv4 address that is meant: NAT64 (RFC 6052) and IPv4-translated addresses (RFC 2765).
WRAPPING = [ipaddress.ip_network(network) for network in ("64:ff9b::/96", "::ffff:0:0:0/96")]
# NAT64 of a site's own (RFC 8215), site-local addresses (RFC 3879), IPv4-compatible ones (RFC 4291, 2.5.5.1).
NOT_PUBLIC = [ipaddress.ip_network(network) for network in ("64:ff9b:1::/48", "fec0::/10", "::/96")]

Origin = tuple[str, str, int]  # scheme, host, port


def canonical_url(url: str, base: str | None = None) -> str | None:
    """The one form of an http(s) URL, joined to `base`: lower-case host in ASCII, escaped path, no
    default port, fragment or credentials; None for anything else, where the host can be none, and
    for what is longer than MAX_URL."""
    from urllib3.exceptions import LocationParseError
    from urllib3.util import Url, parse_url

    if len(url) > MAX_URL:
        return None
    try:
        parts = parse_url(urljoin(base, url.strip()) if base else url.strip())
    except (LocationParseError, ValueError):
        return None
    if parts.scheme not in DEFAULT_PORTS or not HOST.fullmatch(parts.host or "") or parts.port == 0:
        return None
    port = None if parts.port == DEFAULT_PORTS[parts.scheme] else parts.port
    found = Url(parts.scheme, None, parts.host, port, parts.path or "/", parts.query).url
    return None if len(found) > MAX_URL else found


def origin_of(url: str) -> Origin:
    """Scheme, host (without an IPv6 address's brackets) and port of a canonical URL."""
    from urllib3.util import parse_url

    parts = parse_url(url)
    return parts.scheme, parts.host.strip("[]"), parts.port or DEFAULT_PORTS[parts.scheme]


def site_of(url: str) -> str:
    """What of a canonical URL tells sites apart: host and port, where it is not the scheme's own."""
    from urllib3.util import parse_url

    return parse_url(url).netloc


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once, in the resolver's order. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # what the idna codec makes of a name
        raise OSError(f"{host} is no name: {error}") from None
    return list(dict.fromkeys(entry[4][0] for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is one of the global internet, also where it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address)
    if ip.version == 6:
        if any(ip in network for network in NOT_PUBLIC):
            return False
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(ip in network for network in WRAPPING):
            inner.append(ipaddress.ip_address(int(ip) & 0xFFFFFFFF))
        if any(inner):
            return all(is_public(str(each)) for each in inner if each)
    return ip.is_global and not ip.is_multicast
