"""The hub's own client, made to look at every address that it connects to, wherever the hub sends it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from pipeline.sources import web

if TYPE_CHECKING:
    import httpx2
    from httpcore2 import SOCKET_OPTION, NetworkStream


@cache
def guard() -> None:
    """From now on, in this process."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    set_client_factory(lambda: guarded(default_client_factory()))


def guarded(client: httpx2.Client) -> httpx2.Client:
    """The client, its connections made by `web.connect`. It offers no public way to say so."""
    from httpcore2 import ConnectError, NetworkBackend
    from httpcore2._backends.sync import SyncBackend, SyncStream
    from httpx2 import HTTPTransport

    class Backend(NetworkBackend):
        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[SOCKET_OPTION] | None = None,
        ) -> NetworkStream:
            try:
                return SyncStream(web.connect(host, port, timeout))
            except web.RefusedHost:
                raise
            except OSError as error:
                raise ConnectError(str(error)) from error

        def connect_unix_socket(
            self, path: str, timeout: float | None = None, socket_options: Iterable[SOCKET_OPTION] | None = None
        ) -> NetworkStream:
            raise web.RefusedHost(f"{path} {web.REFUSED}")

        def sleep(self, seconds: float) -> None:
            SyncBackend().sleep(seconds)

    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            assert isinstance(transport, HTTPTransport)
            transport._pool._network_backend = Backend()
    return client
