"""The network as a policy's client sees it: no wait beyond the request's deadline, no proxies."""

import ssl
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpcore2
import httpx2

from core.clock import monotonic

MAX_CONNECTIONS = 32


class BoundedTransport(httpx2.HTTPTransport):
    """The network as the engine sees it: no wait beyond the deadline, no proxies."""

    def __init__(
        self,
        network: "BoundedNetwork",
        *,
        socket_path: str | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls or httpx2.create_ssl_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=30.0,
            uds=socket_path,
            network_backend=network,
        )


class BoundedNetwork(httpcore2.NetworkBackend):
    """Gives every single wait no more than what is left of the request it belongs to.

    The library bounds each read alone: a server that sends a letter now and then would be waited
    for as long as it liked. Looking up a name cannot be bounded, so connections are opened by
    threads that can be left behind.
    """

    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()
        self._here = threading.local()
        self._connecting = ThreadPoolExecutor(
            max_workers=MAX_CONNECTIONS, thread_name_prefix="opa-connect"
        )

    def until(self, ends_at: float) -> "_Until":
        """Bound what this thread does in the block."""
        return _Until(self._here, ends_at)

    def left(self, timeout: float | None) -> float:
        left = float(self._here.ends_at) - monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("no time is left")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left = self.left(timeout)
        return self._connect(
            self._connecting.submit(
                self._inner.connect_tcp, host, port, left, local_address, socket_options
            ),
            left,
        )

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left = self.left(timeout)
        return _BoundedStream(self._inner.connect_unix_socket(path, left, socket_options), self)

    def _connect(
        self, opening: "Future[httpcore2.NetworkStream]", left: float
    ) -> httpcore2.NetworkStream:
        try:
            return _BoundedStream(opening.result(left), self)
        except TimeoutError:
            opening.add_done_callback(_close_unused)
            raise httpcore2.ConnectTimeout("no connection in time") from None

    def close(self) -> None:
        self._connecting.shutdown(wait=False, cancel_futures=True)


def _close_unused(opening: "Future[httpcore2.NetworkStream]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class _Until:
    def __init__(self, here: threading.local, ends_at: float) -> None:
        self._here = here
        self._ends_at = ends_at

    def __enter__(self) -> None:
        self._here.ends_at = self._ends_at

    def __exit__(self, *_: object) -> None:
        del self._here.ends_at


class _BoundedStream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, network: BoundedNetwork) -> None:
        self._inner = inner
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._network.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._network.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = self._network.left(timeout)
        return _BoundedStream(
            self._inner.start_tls(ssl_context, server_hostname, left), self._network
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
