"""Files at web addresses, from hosts that nobody vouches for.

What machines tell their own software at link-local addresses (a cloud's keys, above all) is out of reach, however the
address is spelt, whatever a name resolves to and wherever a host or a hub sends on to: it is the connection that is
looked at. A studio's own network is where its files are, so private addresses are open to the manifests that lie
there; a manifest that came from elsewhere reaches none but those that `--allow-host` names.

Answers are not unpacked, so that they are as long as they say, and a host that falls silent is given up.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import ResolveResult

SILENCE = 60  # seconds
ALLOW = "LONGTAKE_ALLOW_HOSTS"  # a variable of the environment: hosts as `--allow-host` takes them, with commas between
# Where clouds answer their machines beyond the link-local ranges.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)
# Networks of IPv6 that carry an address of IPv4 in their last 32 bits.
_CARRIERS = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))
REFUSED = "is an address of machines for themselves, which is not accepted"
PRIVATE = "is not a public address, and this manifest came from elsewhere; --allow-host HOST allows a host"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedHost(OSError):
    """A connection that is not made, to whatever nobody can allow."""


class PrivateHost(RefusedHost):
    """One that `--allow-host` would allow."""


_refusals: ContextVar[list[RefusedHost] | None] = ContextVar("refusals", default=None)


class _Reach:
    """What the manifest in hand may reach; the hosts that were allowed, and what their names resolved to."""

    public_only = False
    hosts: frozenset[str] = frozenset()
    admitted: frozenset[str] = frozenset()


def limit_reach(*, public_only: bool, hosts: Iterable[str] = ()) -> None:
    """From now on, in this process. `hosts`: names or addresses that are open all the same."""
    named = (host.strip("[]").lower() for host in (*hosts, *os.environ.get(ALLOW, "").split(",")) if host.strip())
    _Reach.public_only, _Reach.hosts, _Reach.admitted = public_only, frozenset(named), frozenset()


def refused(host: str) -> str | None:
    """Why nothing is read from this host, as far as its spelling tells; names are looked at when they resolve."""
    refusal = _refusal(host)
    return str(refusal) if refusal else None


def _refusal(host: str) -> RefusedHost | None:
    plain = host.partition("%")[0].strip("[]")
    try:
        address: Address = ipaddress.ip_address(plain)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # one number, hexadecimal, octal
        except (OSError, ValueError):
            return None
    for within in _meant(address):
        if within.is_link_local or within in _METADATA:
            return RefusedHost(f"{within} {REFUSED}")
    allowed = {plain.lower(), str(address)} & (_Reach.hosts | _Reach.admitted)
    if _Reach.public_only and not allowed and not all(within.is_global for within in _meant(address)):
        return PrivateHost(f"{address} {PRIVATE}")
    return None


def _meant(address: Address) -> Iterator[Address]:
    """The address, or those of IPv4 that one of IPv6 stands for: mapped, translated, tunnelled."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _CARRIERS) and int(address) > 1:  # ::1 is this machine
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found = [one for one in inner if one is not None]
    yield from found or [address]


def refused_address(url: str) -> str | None:
    try:
        return refused(urlsplit(url).hostname or "")
    except ValueError:
        return "is not a web address"


async def client(**options: Any) -> aiohttp.ClientSession:
    """The session that fsspec asks with."""
    import aiohttp  # here, because local catalogs need none of it

    class Resolver(aiohttp.ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found = await super().resolve(host, port, family)
            admit(host, (one["host"] for one in found))
            return found

    class Connector(aiohttp.TCPConnector):
        async def connect(self, *request: Any, **more: Any) -> Any:
            """Of addresses that fail in different ways aiohttp keeps the texts, in an error without number: the refusal
            is put behind it."""
            refusals: list[RefusedHost] = []
            before = _refusals.set(refusals)
            try:
                return await super().connect(*request, **more)
            except aiohttp.ClientConnectorError as error:
                if refusals and error.os_error.errno is None and not isinstance(error.os_error, RefusedHost):
                    raise error from next((one for one in refusals if not isinstance(one, PrivateHost)), refusals[0])
                raise
            finally:
                _refusals.reset(before)

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    connector = Connector(socket_factory=_socket, resolver=Resolver())
    return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False, **options)


def admit(host: str, addresses: Iterable[str]) -> None:
    """Open what an allowed name resolved to."""
    if host.lower() in _Reach.hosts:
        _Reach.admitted |= {address.partition("%")[0] for address in addresses}


def _socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """A socket for an address that a name has resolved to. Raises RefusedHost."""
    family, kind, protocol, _, address = info
    if refusal := _refusal(str(address[0])):
        if (asked := _refusals.get()) is not None:
            asked.append(refusal)
        raise refusal
    return socket.socket(family, kind, protocol)


def connect(host: str, port: int, timeout: float | None) -> socket.socket:
    """A connection to the first address of a host that answers, each looked at. Raises RefusedHost, OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    admit(host, (str(info[4][0]) for info in found))
    failure: OSError = OSError(f"{host} has no address")
    for info in found:
        one = _socket(info)
        try:
            one.settimeout(timeout)
            one.connect(info[4])
        except OSError as error:
            one.close()
            failure = error
            continue
        return one
    raise failure


def refusal_in(error: BaseException | None) -> str | None:
    """What was said when a connection was not made, if that lies behind an error."""
    for _ in range(20):
        if error is None:
            return None
        if isinstance(error, RefusedHost):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
