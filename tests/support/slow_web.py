"""A web server on this machine that holds every request for a while and counts what is asked of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SlowWeb:
    """`files`: what is at a path, query included. `asked`: how often each was read whole. `begun`: requests so far."""

    def __init__(self, port: int, files: dict[str, bytes]):
        self.url, self.files = f"http://127.0.0.1:{port}", files
        self.asked: Counter[str] = Counter()
        self.begun = 0


@contextmanager
def slow_web(files: dict[str, bytes], seconds: float = 0.0) -> Iterator[SlowWeb]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, body: bool) -> None:
            web.begun += 1
            time.sleep(seconds)
            data = files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"66aa-{len(data):x}"')  # as nginx makes it: time and size
            self.end_headers()
            if body:
                web.asked[self.path] += 1
                self.wfile.write(data)

        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web = SlowWeb(server.server_address[1], files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
