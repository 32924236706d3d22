"""The Python client against a real HTTP server that cuts, delays and refuses."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

import agentry
from agentry.client.calls import runs
from tests.integration.agentry.contract_server import (
    BASE,
    RUN,
    RUN_PATH,
    TOKEN,
    Answer,
    ContractServer,
    problem,
    run_object,
)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(server: ContractServer, slept: list[float]) -> Iterator[agentry.Client]:
    with agentry.Client(server.url, TOKEN, workspace="lab", sleep=slept.append) as made:
        yield made


def _counting(number: int) -> tuple[tuple[str, dict[str, object]], ...]:
    return tuple(("run.note", {"sentence": f"note {each}"}) for each in range(1, number + 1))


def test_a_run_is_started_with_everything_asked_for(
    server: ContractServer, client: agentry.Client
) -> None:
    server.always(f"POST {BASE}/runs", run_object(state="queued"), 202)

    run = client.runs.start(
        "Say hello", agent="researcher", variables={"tone": "dry"}, limits={"max_tokens": 9}
    )

    assert (run.id, run.state, run.cost_usd) == (RUN, "queued", Decimal("0.0123"))
    (request,) = server.requests("POST", f"{BASE}/runs")
    assert request.body == {
        "agent": "researcher",
        "input": "Say hello",
        "variables": {"tone": "dry"},
        "limits": {"max_tokens": 9},
    }
    assert len(request.headers["idempotency-key"]) == 36
    assert request.headers["user-agent"].startswith("agentry-python/")


def test_a_start_that_fails_for_now_is_repeated_with_the_same_key(
    server: ContractServer, client: agentry.Client, slept: list[float]
) -> None:
    busy = problem(503, "unavailable", "Full.")
    busy.headers["retry-after"] = "7"
    server.will(f"POST {BASE}/runs", busy, Answer(is_cut=True))
    server.always(f"POST {BASE}/runs", run_object(), 202)

    client.runs.start("Say hello", idempotency_key="mine")

    keys = [each.headers["idempotency-key"] for each in server.requests("POST", f"{BASE}/runs")]
    assert keys == ["mine", "mine", "mine"]
    assert slept[0] == 7.0
    assert len(slept) == 2


def test_an_unsafe_request_without_a_key_is_sent_once(
    server: ContractServer, client: agentry.Client
) -> None:
    server.always(f"POST {RUN_PATH}/pause", {"detail": "Broken.", "code": "oops"}, 503)

    with pytest.raises(agentry.ServerError, match=r"Broken\."):
        client.runs.pause(RUN)

    assert len(server.requests("POST", f"{RUN_PATH}/pause")) == 1


def test_a_first_attempt_that_is_still_worked_on_is_waited_for(
    server: ContractServer, client: agentry.Client, slept: list[float]
) -> None:
    path = f"{BASE}/sessions"
    ahead = problem(409, "idempotency_key_in_flight", "Still being worked on.")
    server.will(f"POST {path}", Answer(is_cut=True), ahead)
    server.always(f"POST {path}", {"id": "s1", "agent": "researcher"}, 201)

    session = client.sessions.create("researcher")

    keys = {each.headers["idempotency-key"] for each in server.requests("POST", path)}
    assert (session.id, len(keys), len(slept)) == ("s1", 1, 2)


def test_a_conflict_is_no_reason_to_ask_again(
    server: ContractServer, client: agentry.Client
) -> None:
    path = f"{BASE}/agents"
    server.always(f"POST {path}", {"detail": "It is there.", "code": "conflict"}, 409)

    with pytest.raises(agentry.Conflict, match="It is there"):
        client.agents.create("writer")

    assert len(server.requests("POST", path)) == 1


def test_a_failure_that_repeating_cannot_mend_is_not_repeated(
    server: ContractServer, client: agentry.Client, slept: list[float]
) -> None:
    server.always(f"GET {RUN_PATH}", {"detail": "A bug.", "code": "internal_error"}, 500)

    with pytest.raises(agentry.ServerError) as caught:
        client.runs.get(RUN)

    assert (caught.value.code, caught.value.status) == ("internal_error", 500)
    assert slept == []


def test_giving_up_after_the_allowed_retries(
    server: ContractServer, client: agentry.Client, slept: list[float]
) -> None:
    server.always(f"GET {RUN_PATH}", {"detail": "Slow down.", "code": "limit_exceeded"}, 429)

    with pytest.raises(agentry.RateLimited):
        client.runs.get(RUN)

    assert len(server.requests("GET", RUN_PATH)) == 4
    assert len(slept) == 3


def test_a_conflict_names_the_winner(server: ContractServer, client: agentry.Client) -> None:
    server.will(
        f"POST {RUN_PATH}/cancel",
        problem(
            409, "stale_state", "Somebody was first.", context={"by": "ada", "state": "cancelled"}
        ),
    )

    with pytest.raises(agentry.Conflict) as caught:
        client.runs.cancel(RUN, reason="enough")

    assert caught.value.winner == "ada"
    assert server.requests("POST", f"{RUN_PATH}/cancel")[0].body == {"reason": "enough"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, agentry.InvalidRequest),
        (401, agentry.NotAuthenticated),
        (403, agentry.Forbidden),
        (404, agentry.NotFound),
        (422, agentry.InvalidRequest),
        (429, agentry.RateLimited),
        (500, agentry.ServerError),
    ],
)
def test_each_refusal_has_its_class(
    server: ContractServer, status: int, kind: type[agentry.AgentryError]
) -> None:
    server.will(
        "GET /api/v1/me",
        problem(status, "a_code", "A sentence.", remedy="Do this.", errors={"input": ["empty"]}),
    )

    with (
        agentry.Client(server.url, TOKEN, max_retries=0) as client,
        pytest.raises(kind) as caught,
    ):
        client.me()

    error = caught.value
    told = "A sentence. (input: empty) Do this."
    assert (str(error), error.code, error.status) == (told, "a_code", status)
    assert error.fields == {"input": ["empty"]}


def test_an_address_without_a_server_is_a_sentence() -> None:
    with (
        agentry.Client("http://127.0.0.1:9", "x", max_retries=0) as client,
        pytest.raises(agentry.ConnectionFailed, match=r"127\.0\.0\.1:9 cannot be reached"),
    ):
        client.me()


def test_something_else_than_the_contract_is_said_so(
    server: ContractServer, client: agentry.Client
) -> None:
    server.always("GET /api/v1/me", ["not", "me"])

    with pytest.raises(agentry.UnexpectedReply, match="not what the contract promises"):
        client.me()


def test_all_pages_are_walked(server: ContractServer, client: agentry.Client) -> None:
    one, two = run_object("a"), run_object("b")
    server.will(
        f"GET {BASE}/runs",
        Answer(body={"items": [one], "next_cursor": "c2", "next": "…"}),
        Answer(body={"items": [two], "next_cursor": None, "next": None}),
    )

    assert [run.id for run in client.runs.iterate(state="failed")] == ["a", "b"]
    assert [each.query for each in server.seen] == [
        {"state": "failed"},
        {"state": "failed", "cursor": "c2"},
    ]


def test_waiting_ends_when_the_run_rests(
    server: ContractServer, client: agentry.Client, slept: list[float]
) -> None:
    server.will(
        f"GET {RUN_PATH}",
        Answer(body=run_object(state="running")),
        Answer(body=run_object(state="waiting", wait_kind="children")),
        Answer(body=run_object(state="waiting", wait_kind="in_doubt")),
    )

    run = client.runs.wait(RUN)

    assert (run.state, run.wait_kind, run.is_finished) == ("waiting", "in_doubt", False)
    assert slept == pytest.approx([0.2, 0.3])


def test_waiting_has_an_end(server: ContractServer, client: agentry.Client) -> None:
    server.always(f"GET {RUN_PATH}", run_object(state="running"))

    with pytest.raises(agentry.WaitTimeout, match="still running"):
        client.runs.wait(RUN, timeout_seconds=0.1)


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_a_stream_that_is_cut_again_and_again_tells_everything_once(
    server: ContractServer, client: agentry.Client, cut: int
) -> None:
    server.tell(RUN, *_counting(50))
    server.stream_cut = cut

    told = [(event.sequence, event.payload) for event in client.runs.stream(RUN)]

    assert told == [(each, {"sentence": f"note {each}"}) for each in range(1, 51)]
    streams = server.requests("GET", f"{RUN_PATH}/events/stream")
    assert [int(each.headers["last-event-id"]) for each in streams] == list(range(0, 50, cut))


def test_an_event_lost_on_the_way_is_asked_for_again(
    server: ContractServer, client: agentry.Client
) -> None:
    server.tell(RUN, *_counting(6))
    server.holes = {4}

    told = [event.sequence for event in client.runs.stream(RUN)]

    assert told == [1, 2, 3, 4, 5, 6]
    streams = server.requests("GET", f"{RUN_PATH}/events/stream")
    assert [each.headers["last-event-id"] for each in streams] == ["0", "3"]


def test_a_stream_goes_on_after_a_given_event(
    server: ContractServer, client: agentry.Client
) -> None:
    server.tell(RUN, *_counting(5))

    assert [event.sequence for event in client.runs.stream(RUN, after=3)] == [4, 5]


def test_a_stream_survives_a_server_that_is_away_for_a_while(
    server: ContractServer, client: agentry.Client
) -> None:
    server.tell(RUN, *_counting(3))
    away = [problem(503, "unavailable", "Starting.") for _ in range(3)]
    server.will(f"GET {RUN_PATH}/events/stream", *away)
    server.will(f"GET {RUN_PATH}", *away)

    assert [event.sequence for event in client.runs.stream(RUN)] == [1, 2, 3]


def test_a_stream_gives_up_when_patience_is_over(
    server: ContractServer, client: agentry.Client
) -> None:
    server.always(f"GET {RUN_PATH}/events/stream", {"detail": "Down.", "code": "x"}, 503)
    server.always(f"GET {RUN_PATH}", {"detail": "Down.", "code": "x"}, 503)

    with pytest.raises(
        agentry.ConnectionFailed, match=r"could not be taken up again after event 0"
    ):
        list(client.runs.stream(RUN, patience_seconds=0.1))


def test_a_stream_that_may_not_be_seen_ends_at_once(
    server: ContractServer, client: agentry.Client
) -> None:
    server.always(f"GET {RUN_PATH}/events/stream", {"detail": "No.", "code": "x"}, 403)

    with pytest.raises(agentry.Forbidden):
        list(client.runs.stream(RUN))

    assert len(server.seen) == 1


def test_streamed_text_comes_between_the_events(
    server: ContractServer, client: agentry.Client
) -> None:
    server.tell(RUN, ("step.started", {}), ("step.model", {"text": "Hello."}))
    server.deltas[RUN] = {2: ["Hel", "lo."]}

    told = [
        item.text if isinstance(item, agentry.Delta) else item.kind
        for item in client.runs.follow(RUN)
    ]

    assert told == ["step.started", "Hel", "lo.", "step.model"]


async def test_the_asynchronous_client_does_the_same(server: ContractServer) -> None:
    server.tell(RUN, *_counting(20))
    server.stream_cut = 4
    server.will(f"GET {BASE}/runs", Answer(is_cut=True))
    server.always(f"GET {BASE}/runs", {"items": [run_object()], "next_cursor": None})

    async def no_sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    async with agentry.AsyncClient(server.url, TOKEN, workspace="lab", sleep=no_sleep) as client:
        told = [event.sequence async for event in client.runs.stream(RUN)]
        listed = [run.id async for run in client.runs.iterate()]
        waited = await client.runs.wait(RUN)
        sent = await client.send(runs.get(RUN))

    assert told == list(range(1, 21))
    assert listed == [RUN]
    assert waited == sent


def test_without_a_workspace_nothing_is_sent(server: ContractServer) -> None:
    with (
        agentry.Client(server.url, TOKEN) as client,
        pytest.raises(agentry.ConfigurationError, match="No workspace is chosen"),
    ):
        client.runs.get(RUN)

    assert server.seen == []


def test_what_this_token_may_not_see_is_none(
    server: ContractServer, client: agentry.Client
) -> None:
    hidden: dict[str, object] = {"payload_hidden": True}
    run = {**run_object(input=None, output=None, reason=None), **hidden}
    server.always(f"GET {RUN_PATH}", run)
    server.always(
        f"GET {RUN_PATH}/messages",
        {"items": [{"position": 0, "role": "user", "parts": None, **hidden}]},
    )
    server.always(
        f"GET {RUN_PATH}/tool-calls",
        {"items": [{"id": "c", "tool": "t", "state": "failed", "reason": None, "result": None}]},
    )
    server.always(
        f"GET {RUN_PATH}/why",
        {"state": "failed", "summary": None, "reasons": [{"code": "x", "sentence": None}]},
    )

    assert client.runs.get(RUN).reason is None
    assert [message.text for message in client.runs.messages(RUN)] == [""]
    assert [call.is_settled for call in client.runs.tool_calls(RUN)] == [True]
    assert client.runs.why(RUN).reasons[0].sentence is None
