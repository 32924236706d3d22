"""A policy that an OPA server evaluates: asked over its data API, and denied whatever is not an
answer.

The server is told to fail on failing built-ins, as the in-process engine does. Either it holds a
policy of its operator's (`OpaEngine`), or what is published here is put there under the policy's
digest (`PushedOpaEngine`), so that any number of policies and versions are side by side.
https://www.openpolicyagent.org/docs/latest/rest-api/
"""

import hashlib
import re
import ssl
import threading
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec

from core.clock import monotonic
from governance.policy.contracts import PolicyDecision, PolicyInput, abnormal
from governance.policy.document import InputTooLargeError, answer, document
from governance.policy.opa_network import BoundedNetwork, BoundedTransport

DEADLINE_SECONDS = 0.25
PUSH_SECONDS = 3.0
MAX_ANSWER_BYTES = 256 * 1024
_ADDRESS = "/v1/data/agentry/tool/decision"
_ASKED = {"provenance": "true", "strict-builtin-errors": "true"}
_PACKAGE = re.compile(r"^[ \t]*package[ \t]+agentry[ \t]*\.[ \t]*tool\b", re.MULTILINE)


class OpaFailedError(Exception):
    """The server gave no answer; the text is a clause that says why."""


class OpaClient:
    """One OPA server. Safe for concurrent use by threads.

    `token` is sent as a bearer token; `socket_path` reaches the server over a Unix socket, and
    `url` then only names it.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        socket_path: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._network = BoundedNetwork()
        self._client = httpx2.Client(
            transport=BoundedTransport(self._network, socket_path=socket_path, tls=tls),
            headers=headers,
            follow_redirects=False,
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()
        self._network.close()

    def ask(self, address: str, document: bytes, *, seconds: float) -> dict[str, Any]:
        """Return what the server says of the document at `address`.

        Raises:
            OpaFailedError: nothing of OPA's shape, or not in time.
        """
        body = b'{"input":' + document + b"}"
        found = self._send(
            "POST", address, body, kind="application/json", params=_ASKED, seconds=seconds
        )
        try:
            return msgspec.json.decode(found, type=dict[str, Any])
        except (ValueError, RecursionError):
            raise OpaFailedError("the policy server's answer is not of OPA's shape") from None

    def put_policy(self, name: str, module: str, *, seconds: float) -> None:
        """Have the server hold a module under this name. It changes nothing where it does already.

        Raises:
            OpaFailedError: the server did not take it, or not in time.
        """
        address = f"/v1/policies/{name}"
        body = module.encode()
        self._send("PUT", address, body, kind="text/plain", params={}, seconds=seconds)

    def _send(
        self,
        method: str,
        address: str,
        body: bytes,
        *,
        kind: str,
        params: Mapping[str, str],
        seconds: float,
    ) -> bytes:
        ends_at = monotonic() + seconds
        headers = {"content-type": kind}
        request = self._client.build_request
        try:
            try:
                asked = request(
                    method, self.url + address, params=params, content=body, headers=headers
                )
                return self._answered(asked, ends_at)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                # A connection that was kept may belong to a server that is gone. What is sent
                # changes nothing when it is sent twice.
                again = request(
                    method, self.url + address, params=params, content=body, headers=headers
                )
                return self._answered(again, ends_at)
        except httpx2.TimeoutException:
            what = "a decision" if method == "POST" else "taking a policy"
            limit = f"{seconds * 1000:g} ms"
            why = f"the policy server did not answer in time ({what} has {limit})"
            raise OpaFailedError(why) from None
        except (httpx2.ConnectError, httpx2.UnsupportedProtocol):
            raise OpaFailedError("the policy server cannot be reached") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise OpaFailedError("the policy server broke off") from None

    def _answered(self, request: httpx2.Request, ends_at: float) -> bytes:
        left = ends_at - monotonic()
        if left <= 0:
            raise httpx2.ReadTimeout("no time is left")
        request.extensions["timeout"] = httpx2.Timeout(left).as_dict()
        with self._network.until(ends_at):
            response = self._client.send(request, stream=True)
            try:
                if response.status_code != 200:
                    why = f"the policy server answered with status {response.status_code}"
                    raise OpaFailedError(why)
                found = bytearray()
                for piece in response.iter_bytes():
                    found += piece
                    if len(found) > MAX_ANSWER_BYTES:
                        raise OpaFailedError("the policy server's answer is too long")
            finally:
                response.close()
        return bytes(found)


class _Decider:
    """What both engines make of a question and of the server's document."""

    def __init__(self, *, digest: str, deadline_seconds: float) -> None:
        self._digest = digest
        self._deadline_seconds = deadline_seconds

    @property
    def digest(self) -> str:
        return self._digest

    def decide(self, question: PolicyInput) -> PolicyDecision:
        try:
            seen = document(question)
        except InputTooLargeError:
            return self._abnormal("the call is too large to be judged")
        except (TypeError, ValueError, RecursionError):
            return self._abnormal("the arguments are no JSON")
        try:
            found = self._found(seen)
        except OpaFailedError as error:
            return self._abnormal(str(error))
        try:
            return answer(found["result"], version=self._version(found))
        except KeyError:
            return self._abnormal("the policy server has no decision for this call")
        except ValueError as error:
            return self._abnormal(f"its answer is no decision: {error}")

    def _found(self, seen: bytes) -> dict[str, Any]:
        raise NotImplementedError

    def _version(self, found: Mapping[str, Any]) -> str:
        return self._digest

    def _abnormal(self, why: str) -> PolicyDecision:
        return abnormal(why, version=self._digest)


class OpaEngine(_Decider):
    """Judges by what the OPA server at `url` holds as `agentry.tool`.

    `digest` names the policy the server is meant to hold. Where it serves bundles, their revisions
    are the version that decisions carry.
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
        address = url.rstrip("/") + _ADDRESS
        named = digest or f"opa:{hashlib.sha256(address.encode()).hexdigest()}"
        super().__init__(digest=named, deadline_seconds=deadline_seconds)
        self._client = OpaClient(url, token=token, socket_path=socket_path, tls=tls)

    def close(self) -> None:
        self._client.close()

    def _found(self, seen: bytes) -> dict[str, Any]:
        return self._client.ask(_ADDRESS, seen, seconds=self._deadline_seconds)

    def _version(self, found: Mapping[str, Any]) -> str:
        provenance = found.get("provenance")
        bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
        if not isinstance(bundles, dict) or not bundles:
            return self._digest
        held = msgspec.json.encode(bundles, order="sorted")
        return f"opa:{hashlib.sha256(held).hexdigest()}"


class PushedOpaEngine(_Decider):
    """Judges by a module of ours, which it puts on the server: before the first question, and again
    whenever the server has no answer, since one that was restarted has forgotten it.

    Several processes may do so at once; what they put is the same.
    """

    def __init__(
        self,
        module: str,
        *,
        digest: str,
        client: OpaClient,
        deadline_seconds: float = DEADLINE_SECONDS,
        push_seconds: float = PUSH_SECONDS,
    ) -> None:
        super().__init__(digest=digest, deadline_seconds=deadline_seconds)
        self._name = f"p{digest}"
        self._module = _PACKAGE.sub(f"package agentry.{self._name}", module, count=1)
        self._client = client
        self._push_seconds = push_seconds
        self._is_pushed = False
        self._pushing = threading.Lock()

    def push(self) -> None:
        """Have the server hold the module.

        Raises:
            OpaFailedError: it did not take it.
        """
        self._client.put_policy(f"agentry/{self._name}", self._module, seconds=self._push_seconds)
        self._is_pushed = True

    def _found(self, seen: bytes) -> dict[str, Any]:
        if not self._is_pushed:
            self._push_once()
        found = self._ask(seen)
        if "result" not in found:
            self.push()
            found = self._ask(seen)
        return found

    def _push_once(self) -> None:
        with self._pushing:
            if not self._is_pushed:
                self.push()

    def _ask(self, seen: bytes) -> dict[str, Any]:
        address = f"/v1/data/agentry/{self._name}/decision"
        return self._client.ask(address, seen, seconds=self._deadline_seconds)
