"""What the lane refuses: bodies that mean two things, and one user holding every answer."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agents.lane.lane import InvokeLane
from agents.models import Run
from tests.factories.governance import Cast
from tests.integration.agents.lane.kit import invoke


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"input": "x", "input": "y"}', 'The name "input" occurs twice'),
        (b'{"input": "x", "\\u0069nput": "y"}', 'The name "input" occurs twice'),
        (b'{"input": "x", "variables": {"a": "1", "a": "2"}}', 'The name "a" occurs twice'),
        (b'{"input": "\\u0000"}', "contains the character NUL"),
        (b'{"input": "\\ud800"}', "half of a surrogate pair"),
    ],
)
async def test_a_body_that_other_addresses_refuse_is_refused(
    lane: InvokeLane, cast: Cast, body: bytes, sentence: str
) -> None:
    secret = await sync_to_async(cast.token)("operator")

    refused = await invoke(lane, secret, body)

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert sentence in refused.body["detail"]
    assert await Run.objects.acount() == 0


async def test_a_user_holds_a_bounded_number_of_answers(
    lane: InvokeLane, cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.INVOKE_WAITS = 2
    greedy = await sync_to_async(cast.token)("operator")
    modest = await sync_to_async(cast.token)("author")
    held = asyncio.Semaphore(0)
    may_answer = asyncio.Event()

    async def ended(*_: Any) -> bool:
        held.release()
        return not await may_answer.wait()

    monkeypatch.setattr(lane, "_until_end", ended)
    body = {"input": "x", "wait": 30}
    waiting = [asyncio.create_task(invoke(lane, greedy, body)) for _ in range(2)]
    for _ in waiting:
        await held.acquire()

    refused = await invoke(lane, greedy, body)
    at_once = await invoke(lane, greedy, {"input": "x"})
    waiting.append(asyncio.create_task(invoke(lane, modest, body)))
    await held.acquire()
    may_answer.set()
    answers = await asyncio.gather(*waiting)
    again = await invoke(lane, greedy, body)

    assert (refused.status, refused.body["code"]) == (429, "limit_exceeded")
    assert refused.headers["retry-after"] == "5"
    assert "nothing was started" in refused.body["detail"]
    assert at_once.status == 202
    assert [answer.status for answer in [*answers, again]] == [202] * 4
    assert await Run.objects.acount() == 5


async def test_an_address_that_sends_wrong_tokens_is_told_to_stop(
    lane: InvokeLane, cast: Cast, settings: Any
) -> None:
    settings.SIGN_IN_FAILURES = 1
    valid = await sync_to_async(cast.token)("operator")

    refused = [await invoke(lane, f"agk_wrong{number}", {"input": "x"}) for number in range(11)]
    accepted = await invoke(lane, valid, {"input": "x"})

    assert [answer.status for answer in refused] == [401] * 10 + [429]
    assert int(refused[-1].headers["retry-after"]) <= 900
    assert accepted.status == 202
