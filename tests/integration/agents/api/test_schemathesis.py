"""The OpenAPI document against the site: no 5xx, and no answer that is not in the document.

A few examples an operation with every change, always the same; `make fuzz` asks with many.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import hypothesis
import pytest
import requests  # noqa: TID251 - how a case is put on the wire
import schemathesis
from asgiref.sync import sync_to_async
from django.db import transaction
from django.test import AsyncClient, Client
from schemathesis import GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agentry.client.sse import SseParser
from agentry_site.api import openapi_document
from agents.contracts import RunState
from agents.transitions import run_move
from governance.access import clear_credentials, permission_cache
from observability import live
from tests.factories.agents import Tenancy, make_tenancy
from tests.factories.governance import issue, join, make_workspace

IS_FUZZ = "SCHEMATHESIS_EXAMPLES" in os.environ  # then other examples each time, wrong ones too
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))
STREAM_SECONDS, STREAM_CHUNKS = 10.0, 50  # how much is read of a stream that does not end
_STREAM = re.compile(r"/events/stream$")  # over ASGI, in a test of their own
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def tenancy(db: None) -> Tenancy:
    return make_tenancy(make_workspace("acme"), "acme")


@pytest.fixture
def headers(tenancy: Tenancy) -> dict[str, str]:
    return _credential(tenancy)


def _credential(tenancy: Tenancy) -> dict[str, str]:
    admin = join(tenancy.workspace, "admin", "admin").user
    secret = issue(admin, workspace=tenancy.workspace).secret
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
async def ended(transactional_db: None) -> AsyncIterator[tuple[Tenancy, dict[str, str]]]:
    """A workspace whose run is over, for streams that end, and a credential for it."""

    def make() -> tuple[Tenancy, dict[str, str]]:
        permission_cache.clear()
        clear_credentials()
        tenancy = make_tenancy(make_workspace("acme"), "acme")
        run_move(run_id=tenancy.run.pk, target=RunState.CANCELLED)
        return tenancy, _credential(tenancy)

    yield await sync_to_async(make)()
    await live.stop()


def _there(tenancy: Tenancy, path: str, name: str) -> str | None:
    """Return the value of a path parameter under which there is something."""
    if name == "workspace":
        return "acme"
    if name == "number":
        return "1"
    before = re.search(rf"([^/]+)/\{{{name}\}}", path)
    found = {
        "agents": tenancy.agent.name,
        "providers": tenancy.provider.name,
        "models": tenancy.model.name,
        "tools": tenancy.tool.name,
        "routes": str(tenancy.route.pk),
        "sessions": str(tenancy.session.pk),
        "runs": str(tenancy.run.pk),
        "tool-calls": str(tenancy.call.pk),
    }
    return found.get(before[1]) if before else None


def _operations() -> list[Any]:
    schema: Any = schemathesis.openapi.from_dict(json.loads(openapi_document()))
    return [result.ok() for result in schema.get_all_operations()]


class _Undone(Exception):  # noqa: N818 - not an error: ends the savepoint of one example
    """Takes back what an example has done, so that the next one finds everything there."""


@pytest.mark.timeout(600 + 90 * EXAMPLES)
def test_every_operation_answers_as_documented(tenancy: Tenancy, headers: dict[str, str]) -> None:
    failures, tried = [], 0

    def attempt(case: Any) -> None:
        try:
            with transaction.atomic():
                case.validate_response(_answer(case, headers), checks=_CHECKS)
                raise _Undone
        except _Undone:
            permission_cache.clear()
            clear_credentials()

    for operation in _operations():
        if _STREAM.search(operation.path):
            continue
        failures += _failures(operation, tenancy, attempt)
        tried += 1

    assert failures == []
    assert tried > 60


@pytest.mark.timeout(120 + STREAM_SECONDS * EXAMPLES)
async def test_streams_answer_as_documented(ended: tuple[Tenancy, dict[str, str]]) -> None:
    """They are answered on one event loop, as by a server, and asked for from a thread."""
    tenancy, headers = ended
    loop = asyncio.get_running_loop()
    failures, tried = [], 0
    streams: list[list[str]] = []

    def attempt(case: Any) -> None:
        answer = asyncio.run_coroutine_threadsafe(_streamed(case, headers), loop).result()
        is_stream = answer.headers["content-type"][0].startswith("text/event-stream")
        # A description says that a stream is text; what its events are is looked at here.
        checks = [check for check in _CHECKS if check is not response_schema_conformance]
        case.validate_response(answer, checks=checks if is_stream else _CHECKS)
        if is_stream:
            streams.append(_kinds(answer.content))

    for operation in _operations():
        if _STREAM.search(operation.path):
            there = {"workspace": "acme", "id": str(tenancy.run.pk)}
            await asyncio.to_thread(attempt, operation.Case(path_parameters=there))
            failures += await asyncio.to_thread(_failures, operation, tenancy, attempt)
            tried += 1

    assert failures == []
    assert tried == 1
    assert all(kinds[-1] == "end" for kinds in streams), "the run is over"
    assert streams


def _failures(operation: Any, tenancy: Tenancy, attempt: Callable[[Any], None]) -> list[str]:
    @hypothesis.given(case=_cases(operation), is_there=hypothesis.strategies.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not IS_FUZZ,
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    def example(case: Any, is_there: bool) -> None:
        if is_there or "workspace" in (case.path_parameters or {}):
            for name in case.path_parameters or {}:
                known = _there(tenancy, operation.path, name)
                if known is not None and (is_there or name == "workspace"):
                    case.path_parameters[name] = known
        if isinstance(case.body, dict):
            case.body.pop("wait", None)  # nothing would end the runs
            if case.body.get("stream") is True:  # this client cannot; the streams' own tests can
                del case.body["stream"]
        attempt(case)

    try:
        example()
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - each is told at the end
        return [f"{operation.label}: {_told(error)}"]
    return []


def _cases(operation: Any) -> Any:
    """Requests as described; when fuzzing, also such as break the description somewhere."""
    described = operation.as_strategy()
    has_input = operation.body or operation.query or operation.headers or operation.path_parameters
    if not (IS_FUZZ and has_input):
        return described
    return described | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def _request(case: Any, headers: dict[str, str]) -> requests.PreparedRequest:
    wanted = case.as_transport_kwargs(base_url="http://testserver")
    wanted["headers"] = {**(wanted.get("headers") or {}), **headers}
    fields = ("method", "url", "headers", "params", "json", "data", "cookies")
    return requests.Request(
        **{name: wanted[name] for name in fields if wanted.get(name) is not None}
    ).prepare()


def _sent(request: requests.PreparedRequest) -> dict[str, Any]:
    """Return the request as Django's test clients take it."""
    body: Any = request.body or b""
    return {
        "method": str(request.method),
        "path": str(request.path_url),
        "data": body if isinstance(body, bytes) else body.encode(),
        "content_type": str(request.headers.get("Content-Type", "application/json")),
        "headers": {name: str(value) for name, value in request.headers.items()},
    }


def _answer(case: Any, headers: dict[str, str]) -> Response:
    """Send a case through Django's own test client: same thread, same transaction."""
    request = _request(case, headers)
    found: Any = Client(raise_request_exception=False).generic(**_sent(request))
    content = b"".join(found.streaming_content) if found.streaming else found.content
    return _read(request, found, content)


async def _streamed(case: Any, headers: dict[str, str]) -> Response:
    """Send a case over ASGI; of a stream that does not end, a bounded beginning is read."""
    request = _request(case, headers)
    found: Any = await AsyncClient(raise_request_exception=False).generic(**_sent(request))
    if not found.streaming:
        return _read(request, found, found.content)
    chunks: list[bytes] = []
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            async for chunk in found.streaming_content:
                chunks.append(chunk)
                if len(chunks) == STREAM_CHUNKS:
                    break
    except TimeoutError:
        chunks.append(b"")
    finally:
        await sync_to_async(found.close)()
    return _read(request, found, b"".join(chunks))


def _kinds(stream: bytes) -> list[str]:
    """Return the kinds of a stream's events; each has to be a JSON object."""
    assert stream.startswith(b"retry: "), "a stream begins with when to come back"
    events = SseParser().feed(stream)
    assert all(isinstance(json.loads(event.data), dict) for event in events)
    return [event.event for event in events]


def _read(request: requests.PreparedRequest, found: Any, content: bytes) -> Response:
    return Response(
        status_code=found.status_code,
        headers={name.lower(): [value] for name, value in found.headers.items()},
        content=content,
        request=request,
        elapsed=0.0,
        verify=False,
        encoding="utf-8",
    )


def _told(error: BaseException) -> str:
    parts = getattr(error, "exceptions", None)
    if parts:
        return " | ".join(_told(part) for part in parts)
    return f"{type(error).__name__}: {str(error)[:700]}"
