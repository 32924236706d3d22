"""Requests as they are counted: by route, method and status, never by address."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from agentry_site.telemetry import INVOKE_ROUTE, Observed, invoke_observed
from core import tracing
from core.metrics.exposition import exposition
from core.metrics.instruments import RECORDER
from tests.unit.core.test_tracing import HEADER, TRACE, Kept

Message = MutableMapping[str, Any]


@pytest.fixture(autouse=True)
def _figures() -> Iterator[None]:
    RECORDER.clear()
    yield
    RECORDER.clear()


@pytest.fixture
def sink() -> Iterator[Kept]:
    kept = Kept()
    before = tracing.sink_set(kept)
    yield kept
    tracing.sink_set(before)


class Site:
    """Answers with a status, on a route when it has one."""

    def __init__(self, status: int = 200, route: str = "", media_type: str = "text/html") -> None:
        self.status, self.route, self.media_type = status, route, media_type
        self.places: list[tracing.Place | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.places.append(tracing.here())
        if self.route:
            scope["agentry.route"] = self.route
        headers = [(b"Content-Type", self.media_type.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def ask(
    site: Any, path: str, *, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    await site(scope, receive, send)
    return sent


def counted() -> list[str]:
    text = exposition([RECORDER.totals()]).decode()
    return [line for line in text.splitlines() if line.startswith("agentry_http_requests_total{")]


async def test_addresses_of_one_route_share_a_series() -> None:
    route = "api/v1/workspaces/<slug:workspace>/runs/<uuid:run>"
    site = Observed(Site(route=route))
    statuses = {
        (await ask(site, f"/api/v1/workspaces/acme/runs/{number}"))[0]["status"]
        for number in range(50)
    }

    assert statuses == {200}
    assert counted() == [
        f'agentry_http_requests_total{{method="GET",route="{route}",status="200"}} 50.0'
    ]


async def test_what_anybody_makes_up_has_no_series_of_its_own() -> None:
    site = Observed(Site(status=404))
    for number in range(50):
        await ask(site, f"/{number}", method=f"MADE-UP-{number}")
    await ask(site, "/static/console/base.css")

    assert counted() == [
        'agentry_http_requests_total{method="GET",route="static",status="404"} 1.0',
        'agentry_http_requests_total{method="other",route="unmatched",status="404"} 50.0',
    ]


async def test_a_request_that_breaks_is_counted_as_our_failure(sink: Kept) -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("private words")

    with pytest.raises(RuntimeError):
        await ask(Observed(breaks, route=INVOKE_ROUTE), "/api/v1/x/invoke", method="POST")

    assert counted() == [
        f'agentry_http_requests_total{{method="POST",route="{INVOKE_ROUTE}",status="500"}} 1.0'
    ]
    [span] = sink.spans
    assert (span.error, span.attributes["http.response.status_code"]) == ("500", 500)
    assert "private words" not in repr(span)


def test_a_call_answered_by_the_connection_itself_is_counted() -> None:
    invoke_observed(0.003)

    assert counted() == [
        f'agentry_http_requests_total{{method="POST",route="{INVOKE_ROUTE}",status="202"}} 1.0'
    ]


async def test_the_work_of_a_request_is_within_its_span_and_that_within_the_callers(
    sink: Kept,
) -> None:
    site = Site(route="version")
    await ask(Observed(site), "/version", headers=((b"traceparent", HEADER.encode()),))
    await ask(Observed(site), "/healthz", headers=((b"traceparent", HEADER.encode()),))

    [span] = sink.spans
    assert site.places == [span.place, None]
    assert span.place.trace_hex == TRACE
    assert span.kind == "server"
    assert span.attributes["http.route"] == "version"


async def test_off_a_request_has_no_span() -> None:
    site = Site()
    await ask(Observed(site), "/version", headers=((b"traceparent", HEADER.encode()),))

    assert site.places == [None]


async def test_a_stream_is_timed_to_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 100.0])
    monkeypatch.setattr("agentry_site.telemetry.time.perf_counter", lambda: next(ticks))
    await ask(Observed(Site(media_type="text/event-stream")), "/events")

    text = exposition([RECORDER.totals()]).decode()
    assert 'agentry_http_request_duration_seconds_sum{method="GET",route="unmatched"} 1.0' in text
