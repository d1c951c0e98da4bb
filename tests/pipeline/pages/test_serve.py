"""The local server: what it sends, in parts too, and what it refuses."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import serve
from pipeline.core.errors import SetupError
from pipeline.store.opening import open_store
from pipeline.store.store import Store

VIDEO = bytes(range(256)) * 20
SECRET = b"not to be seen"


@contextmanager
def serving(store: Store) -> Iterator[serve.Server]:
    with serve.make_server(store) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


@pytest.fixture(scope="module", params=["folder", "memory"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[serve.Server]:
    """An output with a page, a video and something beside it, in a folder and in a store that is none."""
    tmp_path = tmp_path_factory.mktemp("served")
    (tmp_path / "secret.txt").write_bytes(SECRET)
    store = open_store(str(tmp_path / "out") if request.param == "folder" else f"memory://serve-{os.getpid()}")
    store.put("index.html", b"<!doctype html>")
    store.put("one/report.html", b"report")
    store.put("one/final.mp4", VIDEO)
    store.put("one/.half", SECRET)
    store.put("one/a b%.json", b"{}")
    with serving(store) as made:
        yield made


def ask(
    server: serve.Server, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_pages_and_files(server: serve.Server) -> None:
    status, head, body = ask(server, "/")
    assert (status, body, head["Content-Type"]) == (200, b"<!doctype html>", "text/html; charset=utf-8")
    assert head["X-Content-Type-Options"] == "nosniff"
    status, head, body = ask(server, "/one/final.mp4?v=1#t")
    assert (status, body, head["Content-Type"], head["Accept-Ranges"]) == (200, VIDEO, "video/mp4", "bytes")
    assert ask(server, "/one/a%20b%25.json")[2] == b"{}"
    status, head, _ = ask(server, "/one/")
    assert (status, head["Location"]) == (302, "/one/report.html")
    status, head, body = ask(server, "/one/final.mp4", "HEAD")
    assert (status, head["Content-Length"], body) == (200, str(len(VIDEO)), b"")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("0-9", 0, 10), ("100-", 100, 5120), ("-7", 5113, 5120), ("5119-9999", 5119, 5120), ("-99999", 0, 5120)],
)
def test_parts(server: serve.Server, asked: str, start: int, stop: int) -> None:
    status, head, body = ask(server, "/one/final.mp4", Range=f"bytes={asked}")
    assert (status, body) == (206, VIDEO[start:stop])
    assert head["Content-Range"] == f"bytes {start}-{stop - 1}/{len(VIDEO)}"


def test_parts_that_are_none(server: serve.Server) -> None:
    status, head, body = ask(server, "/one/final.mp4", Range="bytes=5120-")
    assert (status, head["Content-Range"], body) == (416, "bytes */5120", b"")
    for asked in ("bytes=9-3", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=x-"):
        assert ask(server, "/one/final.mp4", Range=asked)[::2] == (200, VIDEO)


def test_large_objects_are_sent_piece_by_piece(server: serve.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "CHUNK", 1000)
    assert ask(server, "/one/final.mp4")[2] == VIDEO
    assert ask(server, "/one/final.mp4", Range="bytes=1-4000")[2] == VIDEO[1:4001]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/one/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/one/%2e%2e%2f%2e%2e%2fsecret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/one\\..\\..\\secret.txt",
        "/one/.half",
        "/one",
        "/nowhere",
        "/nowhere/",
        "/one/final.mp4%00",
        "/one/final.mp4/",
    ],
)
def test_nothing_else_is_sent(server: serve.Server, path: str) -> None:
    status, _, body = ask(server, path)
    assert status in (404, 502)
    assert SECRET not in body
    assert b"root:" not in body


def test_it_only_reads(server: serve.Server) -> None:
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert ask(server, "/index.html", method, **{"Content-Length": "0"})[0] == 501
    assert ask(server, "/")[2] == b"<!doctype html>"


def test_it_answers_to_its_own_name_only(server: serve.Server) -> None:
    for name in ("localhost:80", "127.0.0.1", "[::1]:8000"):
        assert ask(server, "/", Host=name)[0] == 200
    for name in ("example.org", "localhost.example.org", "127.0.0.1.example.org:8000", ""):
        assert ask(server, "/", Host=name)[0] == 403


def test_a_taken_port_is_a_message(server: serve.Server) -> None:
    with pytest.raises(SetupError, match="choose another port"):
        serve.make_server(server.store, port=server.server_address[1])


def test_the_command_refuses_what_holds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.run([str(tmp_path / "nowhere")]) == 2
    assert "holds nothing" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_links_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    store = open_store(str(tmp_path / "out"))
    store.put("index.html", b"page")
    (tmp_path / "out" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "out" / "folder").symlink_to(tmp_path)
    with serving(store) as made:
        found = [ask(made, path) for path in ("/link.txt", "/folder/secret.txt")]
    assert [(status, SECRET in body) for status, _, body in found] == [(404, False)] * 2
