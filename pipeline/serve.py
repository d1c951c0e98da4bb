"""`longtake serve OUTPUT`: a small local server for the pages and videos of an output, folder or URL. It only reads."""

from __future__ import annotations

import re
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

import click

from pipeline.core.command import run_command
from pipeline.core.errors import LongtakeError, MissingObject, SetupError, UserError
from pipeline.core.safe_text import redact
from pipeline.sources import urls
from pipeline.store.local import LocalStore
from pipeline.store.media_types import media_type
from pipeline.store.opening import open_store
from pipeline.store.store import Store, check_key

CHUNK = 1 << 20  # bytes read from the store at a time, whatever a browser asks for
PATIENCE = 60.0  # seconds after which a connection that neither asks nor takes is closed
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@click.command()
@click.argument("output")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
def command(output: str, host: str, port: int) -> None:
    """Show the pages of OUTPUT (a folder or URL) in a browser. Nothing is written; Ctrl-C ends it."""
    if fault := urls.check_address(output):
        raise UserError(f"{redact(output)}: {fault}")
    store = open_store(output)
    if not store.folders(""):
        raise UserError(f"{store}: holds nothing; give the folder or URL that `render` wrote to")
    with make_server(store, host, port) as server:
        click.echo(f"{store} at {server.address}/ (Ctrl-C ends)")
        if not server.loopback:
            click.echo(f"Listening on {host}: whoever reaches this machine can read all of {store}.", err=True)
        if not store.exists("index.html"):
            click.echo(f"There is no index.html yet; `longtake pages {store}` writes the pages.", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("")


class Server(ThreadingHTTPServer):
    """Serves one store. `loopback`: only this machine reaches it."""

    daemon_threads = True

    def __init__(self, store: Store, host: str, port: int):
        self.store = store
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), Handler)
        self.loopback = ip_address(str(self.server_address[0]).partition("%")[0]).is_loopback

    @property
    def address(self) -> str:
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A browser that goes away in the middle of a video is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def make_server(store: Store, host: str = "127.0.0.1", port: int = 0) -> Server:
    """A server that listens; `serve_forever` runs it. Raises SetupError where the address cannot be had."""
    try:
        return Server(store, host, port)
    except OSError as error:
        reason = error.strerror or error
        raise SetupError(f"--host {host} --port {port}: {reason}; choose another port, or 0 for a free one") from error


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Longtake", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        if not self._asked_by_our_name():
            # A page elsewhere may have its name resolve to this machine and then read what is served here.
            self._say(403, "this server answers to localhost and its own address only", with_body)
            return
        path = unquote(urlsplit(self.path).path)
        try:
            key = check_key(_page(path.lstrip("/")))
            if any(part.startswith(".") for part in key.split("/")) or _leads_out(self.server.store, key):
                raise MissingObject(key)  # what is being written, or does not lie in the output
            size = self.server.store.size(key)
            if path != "/" and path.endswith("/"):
                self._send_elsewhere(key)
                return
            self._send(key, size, with_body)
        except MissingObject:
            self._say(404, "no such file", with_body)
        except LongtakeError as error:
            self._say(404 if isinstance(error, UserError) else 502, redact(str(error)), with_body)

    def _asked_by_our_name(self) -> bool:
        if not self.server.loopback:
            return True
        name = urlsplit("//" + self.headers.get("Host", "")).hostname or ""
        try:
            return name == "localhost" or ip_address(name).is_loopback
        except ValueError:
            return False

    def _send(self, key: str, size: int, with_body: bool) -> None:
        part = _part(self.headers.get("Range"), size)
        if part is None:
            self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        start, stop, whole = part
        facts = {"Content-Type": media_type(key), "Content-Length": str(stop - start), "Accept-Ranges": "bytes"}
        if not whole:
            facts["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        data = self.server.store.get_range(key, start, min(stop, start + CHUNK)) if with_body else b""
        self._head(200 if whole else 206, facts)
        if not with_body:
            return
        while data:
            self.wfile.write(data)
            start += len(data)
            try:
                data = self.server.store.get_range(key, start, min(stop, start + CHUNK)) if start < stop else b""
            except LongtakeError:  # too late to say so; the length that was promised shows it
                break
        if start < stop:  # replaced by a shorter one meanwhile
            self.close_connection = True

    def _send_elsewhere(self, key: str) -> None:
        """To the page of a folder: its relative links must start there."""
        self._head(302, {"Location": "/" + quote(key), "Content-Length": "0"})

    def _say(self, status: int, text: str, with_body: bool) -> None:
        body = (text + "\n").encode()
        self._head(status, {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
        if with_body:
            self.wfile.write(body)

    def _head(self, status: int, facts: dict[str, str]) -> None:
        self.send_response(status)
        # Views are replaced while a run goes on: a browser asks again every time.
        for name, value in {**facts, **_SAFE, "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _page(path: str) -> str:
    """The file that a path stands for: a folder's page where it ends with a slash."""
    if not path:
        return "index.html"
    return f"{path}report.html" if path.endswith("/") else path


def _leads_out(store: Store, key: str) -> bool:
    """Whether a symbolic link takes a key out of its folder."""
    return isinstance(store, LocalStore) and not store.path(key).resolve().is_relative_to(store.root.resolve())


def _part(asked: str | None, size: int) -> tuple[int, int, bool] | None:
    """[start, stop) of the bytes to send, and whether they are all; None for a range that lies outside.

    One range is understood (RFC 9110, 14.2); of anything else the whole is sent, as servers may.
    """
    match = _RANGE.match((asked or "").strip())
    if not match or match[1] == match[2] == "":
        return 0, size, True
    if match[1] == "":
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        if match[2] and int(match[2]) < start:
            return 0, size, True
    return (start, stop, False) if start < stop else None


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
