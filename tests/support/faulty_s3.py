"""A proxy before an S3 server that delays, refuses, drops, cuts or falsifies what passes: the store at its worst."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.support.s3 import ACCESS_KEY, SECRET_KEY

REFUSALS = {"500": 500, "503": 503}
_HOP = ("transfer-encoding", "connection", "keep-alive", "content-length", "date", "server")
_EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


@dataclass(frozen=True)
class Asked:
    """A request: its number, method, path without the bucket, and query."""

    number: int
    method: str
    key: str
    query: str


# What becomes of a request: "" (nothing), "500", "503", "drop" (it never arrives), "lost" (it is carried out, the
# answer is lost), "cut" (half of the answer arrives), "slow" (the answer arrives late, in pieces), "expired" (403),
# "overwrite" (a create-only put becomes a plain one), "stale" (a listing as it was before).
Choice = Callable[[Asked], str]


@dataclass
class FaultyS3:
    """`choose` may be replaced while it runs; `injected` counts what it did, `puts` the keys that were written."""

    endpoint: str = ""
    choose: Choice = lambda asked: ""
    delay: float = 2.0  # seconds of "slow"
    hold: float = 0.0  # seconds that every request waits
    injected: Counter[str] = field(default_factory=Counter)
    puts: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    _listings: dict[str, tuple[int, Any, bytes]] = field(default_factory=dict)

    def environment(self, of: dict[str, str]) -> dict[str, str]:
        """What a process needs to use the server through this proxy."""
        return {**of, "AWS_ENDPOINT_URL": self.endpoint}


@contextlib.contextmanager
def before(upstream: str) -> Iterator[FaultyS3]:
    """Run the proxy in a thread of its own, on a port of its own."""
    proxy, loop, ready = FaultyS3(), asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        async with aiohttp.ClientSession(auto_decompress=False) as session:

            async def handle(request: web.BaseRequest) -> web.StreamResponse:
                try:
                    return await _handle(proxy, session, upstream, request)
                except ConnectionError:  # who asked has been killed
                    raise web.HTTPBadGateway from None

            # Bodies pass as they come: aiohttp would take apart what a playlist was compressed to.
            server = web.ServerRunner(web.Server(handle, auto_decompress=False))
            await server.setup()
            site = web.TCPSite(server, "127.0.0.1", 0)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            proxy.endpoint = f"http://127.0.0.1:{port}"
            ready.set()
            await stop.wait()
            await server.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    if not ready.wait(30):
        raise RuntimeError("the proxy did not start")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


async def _handle(
    proxy: FaultyS3, session: aiohttp.ClientSession, upstream: str, request: web.BaseRequest
) -> web.StreamResponse:
    proxy.asked += 1
    path, _, query = request.raw_path.partition("?")
    asked = Asked(proxy.asked, request.method, path.lstrip("/").partition("/")[2], query)
    fault = proxy.choose(asked)
    listing = request.method == "GET" and "list-type" in query
    if (fault in ("cut", "slow") and request.method != "GET") or (fault == "stale" and not listing):
        fault = ""
    if fault == "overwrite" and "if-none-match" not in request.headers:
        fault = ""
    if fault:
        proxy.injected[fault] += 1
    if request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    if proxy.hold:
        await asyncio.sleep(proxy.hold)
    body = await request.content.read()  # request.read() takes no more than a megabyte
    if fault == "drop":
        return _hang_up(request)
    if fault in REFUSALS:
        return web.Response(status=REFUSALS[fault], body=b"<Error><Code>SlowDown</Code></Error>")
    if fault == "expired":
        return web.Response(status=403, body=_EXPIRED, content_type="application/xml")
    if fault == "stale" and query in proxy._listings:
        status, headers, data = proxy._listings[query]
        return web.Response(status=status, headers=headers, body=data)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in ("expect", "connection")}
    if fault == "overwrite":
        headers = _signed_anew(upstream + request.raw_path, request.headers["host"], body)
    address = URL(upstream + request.raw_path, encoded=True)
    try:
        async with session.request(
            request.method, address, headers=headers, data=body or None, allow_redirects=False
        ) as got:
            data = await got.read()
    except aiohttp.ClientError:
        return _hang_up(request)
    if request.method == "PUT" and got.status == 200:
        proxy.puts[asked.key] += 1
    if fault == "lost":
        return _hang_up(request)
    kept = {name: value for name, value in got.headers.items() if name.lower() not in _HOP}
    if listing:
        proxy._listings.setdefault(query, (got.status, kept, data))
    if request.method == "HEAD":
        return web.Response(
            status=got.status, headers={**kept, "Content-Length": got.headers.get("Content-Length", "0")}
        )
    if fault not in ("cut", "slow"):
        return web.Response(status=got.status, headers=kept, body=data)
    answer = web.StreamResponse(status=got.status, headers={**kept, "Content-Length": str(len(data))})
    await answer.prepare(request)
    await answer.write(data[: len(data) // 2])
    if fault == "cut":
        return _hang_up(request, answer)
    await asyncio.sleep(proxy.delay)
    await answer.write(data[len(data) // 2 :])
    return answer


def _signed_anew(url: str, host: str, body: bytes) -> dict[str, str]:
    """Headers of a plain put: a signature covers the precondition, too, so it cannot just be left out."""
    request = AWSRequest("PUT", url, {"Host": host}, body)
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def _hang_up(request: web.BaseRequest, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return answer or web.Response()
