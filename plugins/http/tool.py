"""A tool declared by data: its calls are HTTP requests.

What an answer means for the effect is decided here once, for all such tools:

    2xx                          happened; the body is the result
    4xx                          refused, so it did not happen; the body's message goes to the model
    307, 308                     not followed and not done
    no connection                not happened
    301, 302, 303, 5xx, time-out, reset, broken answer
                                 known for `read` and `idempotent`: a failure that may be repeated;
                                 for `keyed` and `irreversible` the outcome is unknown
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from core.errors import InvalidInputError
from governance.secrets.names import filled, references, wrong_reference
from plugins.contracts import (
    EffectClass,
    ProbeAnswer,
    ProbeResult,
    ToolContext,
    ToolResult,
    ToolSpec,
)
from plugins.errors import InvalidArgumentsError, OutcomeUnknownError, ToolError
from plugins.http.safe import Answer, NoAnswerError, Resolver, SafeClient, system_resolver

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
MAX_MESSAGE_CHARACTERS = 1_000
PROBE_MAX_BYTES = 1024 * 1024

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "idempotency-key"}
    | {"x-agentry-run", "accept-encoding"}
)


class HttpToolDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that makes an HTTP tool. Values of `headers` may hold `${secret:NAME}`, which is
    filled in as a call begins; they appear in no message.

    `probe_url` holds `{key}` where the idempotency key goes; it is asked with GET and answers
    `{"happened": true | false, "result": …}`.
    """

    name: str
    description: str
    input_schema: dict[str, Any]
    url: str
    method: str = "POST"
    effect: EffectClass = EffectClass.IRREVERSIBLE
    headers: dict[str, str] = {}
    timeout_seconds: float = 60.0
    max_result_bytes: int = 8 * 1024 * 1024
    privileged: bool = False
    probe_url: str = ""
    version: str = "1"

    def __repr__(self) -> str:
        return f"HttpToolDefinition(name={self.name!r}, method={self.method!r})"


class _ProbeBody(msgspec.Struct, frozen=True):
    happened: bool
    result: Any = None


class HttpTool:
    """Calls the server a definition names, once for each call.

    Raises `InvalidInputError` when the definition cannot work.
    """

    def __init__(
        self, definition: HttpToolDefinition, *, resolver: Resolver = system_resolver
    ) -> None:
        _check(definition)
        self._definition = definition
        self._resolver = resolver
        self.spec = ToolSpec(
            name=definition.name,
            description=definition.description,
            input_schema=definition.input_schema,
            effect=definition.effect,
            privileged=definition.privileged,
            timeout_seconds=definition.timeout_seconds,
            max_result_bytes=definition.max_result_bytes,
            version=definition.version,
            secrets=secrets_of(definition.headers),
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Send the arguments as JSON (for GET: as query) with the call's idempotency key.

        Private servers must be in `context.config["allow_hosts"]` as `host:port`.
        """
        definition = self._definition
        url, content = definition.url, b""
        headers = await self._headers(context)
        if definition.method == "GET":
            url = _with_query(url, arguments)
        else:
            content = msgspec.json.encode(dict(arguments))
            headers["content-type"] = "application/json"
        try:
            answer = await self._client(context).request(
                definition.method,
                url,
                headers=headers,
                content=content,
                timeout_seconds=definition.timeout_seconds,
                max_bytes=definition.max_result_bytes,
            )
        except NoAnswerError as error:
            raise self._uncertain(str(error)) from error
        return self._judged(answer)

    async def probe(self, idempotency_key: str, context: ToolContext) -> ProbeResult:
        """Ask whether the effect with this key happened; every doubt is `unknown`."""
        definition = self._definition
        unknown = ProbeResult(answer=ProbeAnswer.UNKNOWN)
        if not definition.probe_url:
            return unknown
        try:
            answer = await self._client(context).request(
                "GET",
                definition.probe_url.replace("{key}", quote(idempotency_key, safe="")),
                headers=await self._headers(context),
                timeout_seconds=definition.timeout_seconds,
                max_bytes=PROBE_MAX_BYTES,
            )
        except ToolError:
            # Not reachable is one of the doubts: the caller asks again later, or a person.
            return unknown
        if answer.status != HTTPStatus.OK or answer.is_cut:
            return unknown
        try:
            body = msgspec.json.decode(answer.body, type=_ProbeBody)
        except msgspec.MsgspecError:
            return unknown
        if not body.happened:
            return ProbeResult(answer=ProbeAnswer.NOT_HAPPENED)
        text = body.result if isinstance(body.result, str) else _json_text(body.result)
        return ProbeResult(answer=ProbeAnswer.HAPPENED, result=ToolResult(text=text))

    def _client(self, context: ToolContext) -> SafeClient:
        return SafeClient(
            allow_hosts=context.config.get("allow_hosts", ()), resolver=self._resolver
        )

    async def _headers(self, context: ToolContext) -> dict[str, str]:
        values = {name: await self._secret(name, context) for name in self.spec.secrets}
        own = {
            name.lower(): filled(value, values) for name, value in self._definition.headers.items()
        }
        return {
            "accept": "application/json, text/plain;q=0.9, */*;q=0.1",
            "user-agent": "agentry",
            **own,
            "accept-encoding": "gzip, identity",
            "idempotency-key": context.idempotency_key,
            "x-agentry-run": str(context.run_id),
        }

    async def _secret(self, name: str, context: ToolContext) -> str:
        if context.secrets is None:
            raise ToolError(
                f"{self._definition.name} needs the secret {name!r}, and no secrets can be opened "
                "here.",
                remedy="Call it in a run.",
            )
        value = await context.secrets.read(name)
        if not _HEADER_VALUE.fullmatch(value):
            raise ToolError(
                f"The secret {name!r} cannot be sent in a header of {self._definition.name}.",
                remedy="An administrator must set it to one line of visible ASCII characters.",
            )
        return value

    def _judged(self, answer: Answer) -> ToolResult:
        name, status = self._definition.name, answer.status
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            text = answer.text()
            if answer.is_cut:
                text += f"\n[truncated after {len(answer.body)} bytes; the server sent more]"
            return ToolResult(
                text=text, metadata={"status": status, "content_type": answer.content_type}
            )
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ToolError(f"{name} refused the call ({status}): {message_of(answer)}")
        if status in (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT):
            raise ToolError(
                f"{name} answered that it moved ({status}); redirects are not followed.",
                remedy="An administrator must correct the tool's URL.",
            )
        raise self._uncertain(f"{name} answered {status}: {message_of(answer)}")

    def _uncertain(self, sentence: str) -> ToolError | OutcomeUnknownError:
        effect = self._definition.effect
        if effect in (EffectClass.READ, EffectClass.IDEMPOTENT):
            return ToolError(sentence, remedy="The call may be repeated safely.")
        return OutcomeUnknownError(
            f"{sentence} Whether the call of {self._definition.name} had its effect is not known.",
            remedy="Ask the target whether it happened; do not simply repeat it.",
        )


def secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the secrets that headers refer to, each once, in order."""
    return tuple(sorted({name for value in headers.values() for name in references(value)}))


def _check(definition: HttpToolDefinition) -> None:
    place = f"HTTP tool {definition.name!r}"
    if definition.method not in METHODS:
        raise InvalidInputError(
            f"{place}: the method {definition.method!r} is not supported.",
            remedy=f"Use one of {', '.join(sorted(METHODS))}.",
        )
    if definition.probe_url and "{key}" not in definition.probe_url:
        raise InvalidInputError(
            f"{place}: probe_url does not hold {{key}}.",
            remedy="Put {key} where the idempotency key goes.",
        )
    if definition.timeout_seconds <= 0:
        raise InvalidInputError(f"{place}: timeout_seconds must be more than 0.")
    for name, value in definition.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidInputError(f"{place}: the header {name!r} cannot be sent.")
        if why := wrong_reference(value):
            raise InvalidInputError(f"{place}: the header {name!r}: {why}")
        if name.lower() in _OWN_HEADERS:
            raise InvalidInputError(
                f"{place}: the header {name!r} is set by the system.", remedy="Leave it out."
            )


def _with_query(url: str, arguments: Mapping[str, Any]) -> str:
    if not arguments:
        return url
    fixed = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    if fixed & set(arguments):
        # Servers differ in which of two they take; what the address says is not the model's.
        raise InvalidArgumentsError(
            f"The argument {min(fixed & set(arguments))!r} is a fixed part of the tool's address.",
            remedy="Leave it out.",
        )
    pairs = [
        (name, value if isinstance(value, str) else _json_text(value))
        for name, value in arguments.items()
    ]
    bare, _, fragment = url.partition("#")
    return f"{bare}{'&' if '?' in bare else '?'}{urlencode(pairs)}{fragment and '#'}{fragment}"


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def message_of(answer: Answer) -> str:
    """Find the sentence in an error body: problem documents, common JSON shapes, else the text."""
    text = answer.text().strip()
    try:
        body = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return _short(text)
    for _ in range(2):
        if not isinstance(body, dict):
            break
        named = next(
            (body[name] for name in ("detail", "message", "error", "title") if body.get(name)), None
        )
        if isinstance(named, str):
            return _short(named)
        body = named
    return _short(text)


def _short(text: str) -> str:
    if not text:
        return "no message."
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else f"{text[:MAX_MESSAGE_CHARACTERS]}…"
