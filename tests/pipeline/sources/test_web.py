"""Addresses that nothing is read from, however they are spelt."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pipeline.core.errors import InputError
from pipeline.sources import web
from pipeline.sources.inputs import stamp_of
from pipeline.sources.urls import check_address

METADATA = ["169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518"]
METADATA += ["[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200"]


@pytest.mark.parametrize("host", METADATA)
def test_machines_answers_to_themselves_are_out_of_reach(host: str) -> None:
    for address in (f"http://{host}/latest", f"https://user:key@{host}:80/x", f"HTTP://{host}"):
        assert "is not accepted" in (check_address(address) or "")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.7", "192.168.1.1", "localhost", "[::1]", "example.org", "93.184.216.34"]
)
def test_others_are_not(host: str) -> None:
    """A studio's own network is where its files are."""
    assert check_address(f"http://{host}/a.wav") is None


def test_what_a_name_resolves_to_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the name but the connection decides, so names that change their mind do not get through."""
    asked = []

    async def resolve(self: Any, host: str, port: int, **more: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with pytest.raises(InputError, match=r"169\.254\.169\.254 is an address of machines for themselves") as caught:
        stamp_of("http://harmless.test/a.wav?token=planted")
    assert asked
    assert "planted" not in str(caught.value)


def test_a_socket_for_such_an_address_is_not_made() -> None:
    with pytest.raises(web.RefusedHost):
        web._socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 80, 0, 2)))
    web._socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))).close()
