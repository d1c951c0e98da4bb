"""The hub's own client, made to look at every address that it connects to, wherever the hub sends it."""

from __future__ import annotations

from functools import cache
from typing import Any

from pipeline.sources import web


@cache
def guard() -> None:
    """From now on, in this process."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    set_client_factory(lambda: guarded(default_client_factory()))


def guarded(client: Any) -> Any:
    """The client, its connections made by `web.connect`. It offers no public way to say so."""
    from httpcore2 import ConnectError, NetworkBackend
    from httpcore2._backends.sync import SyncBackend, SyncStream

    class Backend(NetworkBackend):
        def connect_tcp(
            self, host: str, port: int, timeout: Any = None, local_address: Any = None, socket_options: Any = None
        ) -> Any:
            try:
                return SyncStream(web.connect(host, port, timeout))
            except web.RefusedHost:
                raise
            except OSError as error:
                raise ConnectError(str(error)) from error

        def connect_unix_socket(self, path: str, timeout: Any = None, socket_options: Any = None) -> Any:
            raise web.RefusedHost(f"{path} {web.REFUSED}")

        def sleep(self, seconds: float) -> None:
            SyncBackend().sleep(seconds)

    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            transport._pool._network_backend = Backend()
    return client
