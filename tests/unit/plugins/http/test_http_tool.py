"""What each answer of a server means for the effect of a call."""

import asyncio
import json
import socket
import struct
from typing import Any

import msgspec
import pytest

from core.errors import InvalidInputError
from plugins.contracts import (
    EffectClass,
    ProbeAnswer,
    ProbeResult,
    ToolContext,
    ToolResult,
)
from plugins.errors import InvalidArgumentsError, OutcomeUnknownError, ToolError
from plugins.http.tool import HttpTool, HttpToolDefinition
from tests.unit.plugins.http.conftest import Handler, RawServer, plain

CAREFUL = [EffectClass.KEYED, EffectClass.IRREVERSIBLE]
REPEATABLE = [EffectClass.READ, EffectClass.IDEMPOTENT]


def definition(server: RawServer, **changes: Any) -> HttpToolDefinition:
    given: dict[str, Any] = {
        "name": "pay",
        "description": "Pay somebody.",
        "input_schema": {"type": "object"},
        "url": f"http://{server.host}/pay",
        "effect": EffectClass.KEYED,
    }
    return HttpToolDefinition(**{**given, **changes})


def run(tool: HttpTool, context: ToolContext, **arguments: Any) -> ToolResult:
    return asyncio.run(tool.call(arguments, context))


def reset(connection: socket.socket, request: bytes) -> None:
    """Close so that the client sees a reset: no lingering, data thrown away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close_early(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part")


def answering(status: str, body: bytes = b"", *headers: str) -> Handler:
    return lambda connection, request: connection.sendall(plain(body, *headers, status=status))


def test_arguments_go_out_as_json_with_key_and_run(server: RawServer, context: ToolContext) -> None:
    server.handler = answering("201 Created", b'{"paid": true}', "Content-Type: application/json")
    tool = HttpTool(definition(server, headers={"Authorization": "Bearer t0ken"}))
    result = run(tool, context, amount=5)
    assert result.text == '{"paid": true}'
    assert result.metadata == {"status": 201, "content_type": "application/json"}
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    assert head.startswith("POST /pay HTTP/1.1\r\n")
    assert json.loads(body) == {"amount": 5}
    assert lines["idempotency-key"] == "key-1"
    assert lines["x-agentry-run"] == str(context.run_id)
    assert lines["authorization"] == "bearer t0ken"
    assert lines["content-type"] == "application/json"
    assert "t0ken" not in repr(definition(server, headers={"a": "t0ken"}))


@pytest.mark.parametrize("query", ["action=read", "action=&x=1", "act%69on=read"])
def test_an_argument_replaces_no_part_of_the_address(
    server: RawServer, context: ToolContext, query: str
) -> None:
    tool = HttpTool(definition(server, method="GET", url=f"http://{server.host}/q?{query}"))
    with pytest.raises(InvalidArgumentsError, match="'action' is a fixed part"):
        run(tool, context, action="delete", text="x")
    assert server.requests == []


def test_get_sends_arguments_as_query(server: RawServer, context: ToolContext) -> None:
    tool = HttpTool(definition(server, method="GET", url=f"http://{server.host}/q?a=1"))
    assert run(tool, context, text="x y&z", number=2, list=[1]).text == "ok"
    assert server.requests[0].startswith(b"GET /q?a=1&text=x+y%26z&number=2&list=%5B1%5D HTTP")


@pytest.mark.parametrize("effect", EffectClass)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": "no funds"}', "no funds"),
        (b'{"error": {"message": "deep"}}', "deep"),
        (b'{"other": 1}', '{"other": 1}'),
        (b"plain words", "plain words"),
        (b"", "no message."),
    ],
)
def test_4xx_is_a_clean_failure_with_the_servers_words(
    effect: EffectClass, body: bytes, message: str, server: RawServer, context: ToolContext
) -> None:
    server.handler = answering("422 Unprocessable", body)
    with pytest.raises(ToolError) as failed:
        run(HttpTool(definition(server, effect=effect)), context)
    assert str(failed.value) == f"pay refused the call (422): {message}"


@pytest.mark.parametrize("effect", EffectClass)
def test_refused_connection_is_a_clean_failure(effect: EffectClass, context: ToolContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tool = HttpTool(
        HttpToolDefinition(
            name="pay",
            description="",
            input_schema={},
            url=f"http://127.0.0.1:{port}/",
            effect=effect,
        )
    )
    allowed = {"allow_hosts": [f"127.0.0.1:{port}"]}
    with pytest.raises(ToolError, match="could not be reached"):
        run(tool, msgspec.structs.replace(context, config=allowed))


def test_private_server_must_be_allowed(server: RawServer, context: ToolContext) -> None:
    with pytest.raises(ToolError, match="loopback address"):
        run(HttpTool(definition(server)), msgspec.structs.replace(context, config={}))
    assert server.requests == []


DOUBTFUL: dict[str, Handler] = {
    "reset": reset,
    "closed without answer": lambda connection, request: None,
    "cut in the body": close_early,
    "not http": lambda connection, request: connection.sendall(b"hello\r\n\r\n"),
    "500": answering("500 Internal Server Error", b"boom"),
    "503": answering("503 Service Unavailable"),
    "303": answering("303 See Other", b"", "Location: /elsewhere"),
}


@pytest.mark.parametrize("effect", CAREFUL)
@pytest.mark.parametrize("what", DOUBTFUL)
def test_doubtful_answer_leaves_a_careful_effect_unknown(
    what: str, effect: EffectClass, server: RawServer, context: ToolContext
) -> None:
    server.handler = DOUBTFUL[what]
    with pytest.raises(OutcomeUnknownError, match="Whether the call of pay had its effect"):
        run(HttpTool(definition(server, effect=effect)), context, amount=5)
    assert len(server.requests) == 1


@pytest.mark.parametrize("effect", REPEATABLE)
@pytest.mark.parametrize("what", DOUBTFUL)
def test_doubtful_answer_is_a_failure_where_repeating_is_safe(
    what: str, effect: EffectClass, server: RawServer, context: ToolContext
) -> None:
    server.handler = DOUBTFUL[what]
    with pytest.raises(ToolError, match="may be repeated safely"):
        run(HttpTool(definition(server, effect=effect)), context, amount=5)
    assert len(server.requests) == 1


@pytest.mark.parametrize("effect", EffectClass)
def test_time_out_after_sending(
    effect: EffectClass, server: RawServer, context: ToolContext
) -> None:
    def silent(connection: socket.socket, request: bytes) -> None:
        server.stopping.wait(5)

    server.handler = silent
    tool = HttpTool(definition(server, effect=effect, timeout_seconds=0.2))
    expected = ToolError if effect in REPEATABLE else OutcomeUnknownError
    with pytest.raises(expected, match=r"no whole answer in 0\.2 seconds"):
        run(tool, context)
    assert len(server.requests) == 1


def test_time_out_of_the_look_up_is_a_clean_failure(
    server: RawServer, context: ToolContext
) -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    tool = HttpTool(definition(server, timeout_seconds=0.05), resolver=never)
    with pytest.raises(ToolError, match="no whole answer"):
        run(tool, context)
    assert server.requests == []


def test_temporary_redirect_is_not_followed(server: RawServer, context: ToolContext) -> None:
    server.handler = answering("307 Temporary Redirect", b"", "Location: /elsewhere")
    with pytest.raises(ToolError, match="redirects are not followed"):
        run(HttpTool(definition(server)), context)
    assert len(server.requests) == 1


def test_long_result_is_cut_and_says_so(server: RawServer, context: ToolContext) -> None:
    server.handler = answering("200 OK", b"x" * 5000)
    result = run(HttpTool(definition(server, max_result_bytes=1000)), context)
    assert result.text == "x" * 1000 + ("\n[truncated after 1000 bytes; the server sent more]")


def ask(tool: HttpTool, context: ToolContext, key: str = "key-1") -> ProbeResult:
    return asyncio.run(tool.probe(key, context))


def probing(server: RawServer) -> HttpTool:
    return HttpTool(definition(server, probe_url=f"http://{server.host}/probe/{{key}}"))


def test_probe_that_knows(server: RawServer, context: ToolContext) -> None:
    tool = probing(server)
    server.handler = answering("200 OK", b'{"happened": true, "result": {"id": 7}}')
    assert ask(tool, context, "a/b") == ProbeResult(
        answer=ProbeAnswer.HAPPENED, result=ToolResult(text='{"id":7}')
    )
    assert server.requests[0].startswith(b"GET /probe/a%2Fb HTTP/1.1\r\n")
    server.handler = answering("200 OK", b'{"happened": true, "result": "paid"}')
    assert ask(tool, context).result == ToolResult(text="paid")
    server.handler = answering("200 OK", b'{"happened": false}')
    assert ask(tool, context) == ProbeResult(answer=ProbeAnswer.NOT_HAPPENED)


@pytest.mark.parametrize(
    "handler",
    [
        answering("404 Not Found", b'{"happened": false}'),
        answering("500 Internal Server Error"),
        answering("302 Found", b"", "Location: /x"),
        answering("200 OK", b"[]"),
        answering("200 OK", b'{"happened": "no"}'),
        answering("200 OK", b"not json"),
        reset,
    ],
)
def test_probe_in_any_doubt_is_unknown(
    handler: Handler, server: RawServer, context: ToolContext
) -> None:
    server.handler = handler
    assert ask(probing(server), context) == ProbeResult(answer=ProbeAnswer.UNKNOWN)


def test_tool_without_probe_does_not_know(server: RawServer, context: ToolContext) -> None:
    assert ask(HttpTool(definition(server)), context).answer is ProbeAnswer.UNKNOWN
    assert server.requests == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "TRACE"}, "method 'TRACE' is not supported"),
        ({"probe_url": "http://x/"}, "does not hold {key}"),
        ({"timeout_seconds": 0}, "must be more than 0"),
        ({"headers": {"a b": "c"}}, "cannot be sent"),
        ({"headers": {"a": "b\r\nc: d"}}, "cannot be sent"),
        ({"headers": {"Idempotency-Key": "x"}}, "is set by the system"),
        ({"headers": {"Host": "x"}}, "is set by the system"),
    ],
)
def test_definition_that_cannot_work_is_refused(
    changes: dict[str, Any], sentence: str, server: RawServer
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        HttpTool(definition(server, **changes))


class Told:
    """A reader of secrets that knows these."""

    def __init__(self, **known: str) -> None:
        self._known = known

    async def read(self, name: str) -> str:
        return self._known[name]


async def test_a_header_is_filled_with_secrets_as_the_call_begins(
    server: RawServer, context: ToolContext
) -> None:
    headers = {"Authorization": "Bearer ${secret:one}", "X-Two": "${secret:two}/${secret:one}"}
    called = HttpTool(definition(server, headers=headers))
    told = msgspec.structs.replace(context, secrets=Told(one="ONE-${secret:two}", two="TWO"))

    await called.call({}, told)

    assert called.spec.secrets == ("one", "two")
    sent = server.requests[0].decode().lower()
    assert "authorization: bearer one-${secret:two}\r\n" in sent
    assert "x-two: two/one-${secret:two}\r\n" in sent


@pytest.mark.parametrize("value", ["two\r\nx-more: 1", "ünïcode-value"])
async def test_a_secret_that_is_no_header_is_not_sent_and_not_told(
    server: RawServer, context: ToolContext, value: str
) -> None:
    called = HttpTool(definition(server, headers={"X-Key": "${secret:one}"}))
    told = msgspec.structs.replace(context, secrets=Told(one=value))

    with pytest.raises(ToolError, match="'one' cannot be sent") as refused:
        await called.call({}, told)
    with pytest.raises(ToolError, match="no secrets can be opened"):
        await called.call({}, msgspec.structs.replace(context, secrets=None))

    assert value not in str(refused.value)
    assert server.requests == []
