"""Addresses that nothing is read from, however they are spelt."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest

from models.families.registry import FAMILIES
from pipeline.core.errors import InputError, ManifestError
from pipeline.manifest.catalog import load_manifest
from pipeline.sources import urls, web
from pipeline.sources.inputs import stamp_of
from pipeline.sources.urls import check_address
from tests.support.slow_web import slow_web

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


@pytest.mark.parametrize("public_only", [False, True])
def test_of_addresses_that_fail_in_different_ways_too(public_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error is made of them, which is no refusal; what nobody can allow is said first."""
    web.limit_reach(public_only=public_only)
    fsspec.get_filesystem_class("http").clear_instance_cache()

    async def resolve(self: Any, host: str, port: int, **more: Any) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 1)),
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with pytest.raises(InputError) as caught:
        stamp_of("http://harmless.test:1/a.wav")
    assert str(caught.value) == (
        f"http://harmless.test:1/a.wav: 169.254.169.254 {web.REFUSED}; give the address of a file"
    )


def test_a_refusal_is_known_by_its_type() -> None:
    assert web.refusal_in(OSError(f"127.0.0.1 {web.PRIVATE}")) is None, "a host may say so, too"
    behind = FileNotFoundError("http://host/x")
    behind.__cause__ = web.PrivateHost("10.0.0.7 is out of reach")
    assert web.refusal_in(behind) == "10.0.0.7 is out of reach"


def test_a_socket_for_such_an_address_is_not_made() -> None:
    with pytest.raises(web.RefusedHost):
        web._socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 80, 0, 2)))
    web._socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))).close()


SPELT = [
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[::a9fe:a9fe]",
    "[::ffff:0:a9fe:a9fe]",
]
SPELT += ["[::ffff:0:a9fe:a9fe]", "168.63.129.16", "192.0.0.192", "[2001:0:a9fe:a9fe::1]"]


@pytest.mark.parametrize("host", SPELT)
def test_however_they_are_translated_or_tunnelled(host: str) -> None:
    assert "is not accepted" in (check_address(f"http://{host}/latest") or "")


@pytest.mark.parametrize(
    "address",
    [
        "webhdfs://169.254.169.254:80/x",
        "ftp://host/x",
        "sftp://host/x",
        "smb://host/x",
        "ssh://host/x",
        "github://a:b@/x",
        "dbfs://x/y",
        "hdfs://x/y",
        "oci://b@n/x",
        "simplecache::https://x/y",
        "data:,x://y",
        "adl://x/y",
        "root://x/y",
    ],
)
def test_other_protocols_are_not_accepted(address: str) -> None:
    assert check_address(address) is not None


def test_packages_that_are_missing_are_named() -> None:
    assert check_address("gs://bucket/x") == "gs:// needs the package gcsfs; install it"
    assert check_address("az://bucket/x") == "az:// needs the package adlfs; install it"
    for address in ("s3://bucket/x", "hf://a/b/x", "https://example.org/x", "memory://x", "/a/b", "file:///a/b"):
        assert check_address(address) is None


PRIVATE = ["127.0.0.1", "10.0.0.7", "192.168.1.1", "[::1]", "[fd12::1]", "0.0.0.0", "2130706433", "[::ffff:10.0.0.7]"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_manifest_from_elsewhere_reaches_no_private_host(host: str) -> None:
    web.limit_reach(public_only=True)
    assert "--allow-host" in (check_address(f"http://{host}/a.wav") or "")
    web.limit_reach(public_only=True, hosts=[host])
    assert check_address(f"http://{host}/a.wav") is None
    web.limit_reach(public_only=True, hosts=["169.254.169.254"])
    assert "is not accepted" in (check_address("http://169.254.169.254/") or ""), "nobody can allow those"


def test_names_and_redirects_of_a_manifest_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_web({"/a.wav": b"sound"}) as server:
        address = server.url.replace("127.0.0.1", "localhost") + "/a.wav"
        assert stamp_of(address)[0] == 5
        web.limit_reach(public_only=True)
        fsspec.get_filesystem_class("http").clear_instance_cache()
        with pytest.raises(InputError, match=r"is not a public address.*--allow-host"):
            stamp_of(address)
        web.limit_reach(public_only=True, hosts=["LOCALHOST"])
        fsspec.get_filesystem_class("http").clear_instance_cache()
        assert stamp_of(address)[0] == 5


def test_a_remote_manifest_is_limited_and_a_local_one_is_not(tmp_path: Path) -> None:
    title = "{id: a, portrait: 'http://127.0.0.1/p.png', audio: a.wav}"
    text = f"version: 1\noutput: /tmp/o\nfamily: fake\ntitles:\n  - {title}\n".encode()
    with slow_web({"/m.yaml": text}) as server:
        with pytest.raises(ManifestError, match=r"127\.0\.0\.1 is not a public address"):
            load_manifest(f"{server.url}/m.yaml", families=FAMILIES)
        assert load_manifest(f"{server.url}/m.yaml", families=FAMILIES, allow_hosts=["127.0.0.1"]).titles
    (tmp_path / "m.yaml").write_bytes(text)
    assert load_manifest(tmp_path / "m.yaml", families=FAMILIES).titles


def test_a_hub_that_sends_on_to_such_an_address() -> None:
    httpx2 = pytest.importorskip("httpx2")
    from pipeline.sources.hub import guarded

    with slow_web({"/x": b"data"}) as server, guarded(httpx2.Client()) as client:
        assert client.get(f"{server.url}/x").content == b"data"
        with pytest.raises(web.RefusedHost):
            client.get("http://169.254.169.254/latest")
        with pytest.raises(httpx2.ConnectError):
            client.get("http://127.0.0.1:1/x")


def test_the_hubs_own_client_is_guarded() -> None:
    from huggingface_hub import get_session

    from pipeline.sources import hub

    hub.guard()
    with pytest.raises(web.RefusedHost):
        get_session().get("http://[64:ff9b::a9fe:a9fe]/latest")


def test_endpoints_of_s3_come_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for address in (
        "s3://bucket/x",
        "s3://127.0.0.1:9000/x",
        "s3://key:secret@10.0.0.1/x",
        "s3://b/x?endpoint_url=http://h",
    ):
        fs, _ = urls.file_system(address)
        assert fs.endpoint_url is None
        assert not fs.client_kwargs
