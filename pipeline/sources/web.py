"""Files at web addresses, from hosts that nobody vouches for.

What machines tell their own software at link-local addresses (a cloud's keys, above all) is out of reach, however the
address is spelt, whatever a name resolves to and wherever a host sends on to. Answers are not unpacked, so that they
are as long as they say, and a host that falls silent is given up.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

SILENCE = 60  # seconds
# Where clouds answer their machines beyond the link-local ranges.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200")))
REFUSED = "is an address of machines for themselves, which is not accepted"


class RefusedHost(OSError):
    """A connection that is not made."""


def refused(host: str) -> str | None:
    """Why nothing is read from this host, as far as its spelling tells; names are looked at when they resolve."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # one number, hexadecimal, octal
        except (OSError, ValueError):
            return None
    within = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    return f"{within} {REFUSED}" if within.is_link_local or within in _METADATA else None


def refused_address(url: str) -> str | None:
    try:
        return refused(urlsplit(url).hostname or "")
    except ValueError:
        return "is not a web address"


async def client(**options: Any) -> Any:
    """The session that fsspec asks with."""
    import aiohttp  # here, because local catalogs need none of it

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    connector = aiohttp.TCPConnector(socket_factory=_socket)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False, **options)


def _socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket for an address that a name has resolved to. Raises RefusedHost."""
    family, kind, protocol, _, address = info
    if why := refused(str(address[0])):
        raise RefusedHost(why)
    return socket.socket(family, kind, protocol)


def refusal_in(error: BaseException | None) -> str | None:
    """What `_socket` said, if that lies behind an error."""
    for _ in range(20):
        if error is None:
            return None
        text = str(error)
        if REFUSED in text:
            return text[: text.index(REFUSED)].split()[-1] + f" {REFUSED}"
        error = error.__cause__ or error.__context__
    return None
