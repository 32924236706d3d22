"""A policy that an OPA server holds: asked over its data API, and denied whatever is not an answer.

The server is told to fail on failing built-ins, as the in-process engine does. Which policy it has
loaded is its operator's affair; where it serves bundles, their revisions are the version that
decisions carry. https://www.openpolicyagent.org/docs/latest/rest-api/#data-api
"""

import hashlib
import ssl
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpcore2
import httpx2
import msgspec

from core.clock import monotonic
from governance.policy.contracts import PolicyDecision, PolicyInput, abnormal
from governance.policy.document import InputTooLargeError, answer, document

DEADLINE_SECONDS = 0.25
MAX_ANSWER_BYTES = 256 * 1024
MAX_CONNECTIONS = 32
_ADDRESS = "/v1/data/agentry/tool/decision"
_ASKED = {"provenance": "true", "strict-builtin-errors": "true"}


class _NoAnswerError(Exception):
    """The text is a clause that says why."""


class OpaEngine:
    """Judges by asking the OPA server at `url`.

    `digest` names the policy the server is meant to hold. `token` is sent as a bearer token;
    `socket_path` reaches the server over a Unix socket, and `url` then only names it.
    """

    def __init__(
        self,
        url: str,
        *,
        digest: str = "",
        deadline_seconds: float = DEADLINE_SECONDS,
        token: str = "",
        socket_path: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url.rstrip("/") + _ADDRESS
        self._digest = digest or f"opa:{hashlib.sha256(self._url.encode()).hexdigest()}"
        self._deadline_seconds = deadline_seconds
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._network = _BoundedNetwork()
        self._client = httpx2.Client(
            transport=_BoundedTransport(self._network, socket_path=socket_path, tls=tls),
            headers=headers,
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def digest(self) -> str:
        return self._digest

    def close(self) -> None:
        self._client.close()
        self._network.close()

    def decide(self, question: PolicyInput) -> PolicyDecision:
        try:
            seen = document(question)
        except InputTooLargeError:
            return self._abnormal("the call is too large to be judged")
        except (TypeError, ValueError, RecursionError):
            return self._abnormal("the arguments are no JSON")
        try:
            found = self._ask(b'{"input":' + seen + b"}")
        except _NoAnswerError as error:
            return self._abnormal(str(error))
        try:
            return answer(found["result"], version=self._version(found))
        except KeyError:
            return self._abnormal("the policy server has no decision for this call")
        except ValueError as error:
            return self._abnormal(f"its answer is no decision: {error}")

    def _ask(self, body: bytes) -> dict[str, Any]:
        ends_at = monotonic() + self._deadline_seconds
        try:
            try:
                return self._post(body, ends_at)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                # A connection that was kept may belong to a server that is gone. Asking changes
                # nothing, so it may be asked again.
                return self._post(body, ends_at)
        except httpx2.TimeoutException:
            limit = f"{self._deadline_seconds * 1000:g} ms"
            why = f"the policy server did not answer in time (a decision has {limit})"
            raise _NoAnswerError(why) from None
        except (httpx2.ConnectError, httpx2.UnsupportedProtocol):
            raise _NoAnswerError("the policy server cannot be reached") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise _NoAnswerError("the policy server broke off") from None

    def _post(self, body: bytes, ends_at: float) -> dict[str, Any]:
        left = ends_at - monotonic()
        if left <= 0:
            raise httpx2.ReadTimeout("no time is left")
        with (
            self._network.until(ends_at),
            self._client.stream(
                "POST", self._url, params=_ASKED, content=body, timeout=httpx2.Timeout(left)
            ) as response,
        ):
            if response.status_code != 200:
                why = f"the policy server answered with status {response.status_code}"
                raise _NoAnswerError(why)
            found = bytearray()
            for piece in response.iter_bytes():
                found += piece
                if len(found) > MAX_ANSWER_BYTES:
                    raise _NoAnswerError("the policy server's answer is too long")
        try:
            return msgspec.json.decode(bytes(found), type=dict[str, Any])
        except (ValueError, RecursionError):
            raise _NoAnswerError("the policy server's answer is not of OPA's shape") from None

    def _version(self, found: Mapping[str, Any]) -> str:
        provenance = found.get("provenance")
        bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
        if not isinstance(bundles, dict) or not bundles:
            return self._digest
        held = msgspec.json.encode(bundles, order="sorted")
        return f"opa:{hashlib.sha256(held).hexdigest()}"

    def _abnormal(self, why: str) -> PolicyDecision:
        return abnormal(why, version=self._digest)


class _BoundedTransport(httpx2.HTTPTransport):
    """The network as the engine sees it: no wait beyond the deadline, no proxies."""

    def __init__(
        self,
        network: "_BoundedNetwork",
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


class _BoundedNetwork(httpcore2.NetworkBackend):
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
    def __init__(self, inner: httpcore2.NetworkStream, network: _BoundedNetwork) -> None:
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
