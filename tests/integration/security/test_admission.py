"""Slow and greedy clients: they lose their own connection, nobody else a turn."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from agentry_site import admission
from agentry_site.admission import Admission
from agentry_site.process import Site
from core.api import bodies
from core.errors import BodyTooSlowError

Message = MutableMapping[str, Any]
SCOPE: dict[str, Any] = {"type": "http", "path": "/x", "headers": []}


class Client:
    """One request: what it sends, and what it was answered. `never` ends the body never."""

    def __init__(self, *pieces: bytes, never: bool = False) -> None:
        self._messages = [
            {"type": "http.request", "body": piece, "more_body": never or n < len(pieces) - 1}
            for n, piece in enumerate(pieces or (b"",))
        ]
        self.answer: list[Message] = []
        self.takes = asyncio.Event()
        self.takes.set()

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(self, message: Message) -> None:
        await self.takes.wait()
        self.answer.append(message)

    @property
    def status(self) -> int:
        return int(self.answer[0]["status"])


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    assert message["more_body"] is False
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def test_bodies_that_never_end_keep_nobody_else_waiting() -> None:
    site = Admission(echo, slots=1)
    slow = [Client(b"{", never=True) for _ in range(10)]
    tasks = [asyncio.create_task(site(SCOPE, each.receive, each.send)) for each in slow]
    await asyncio.sleep(0)

    quick = Client(b"ab", b"cd")
    async with asyncio.timeout(5):
        await site(SCOPE, quick.receive, quick.send)
    assert quick.status == 200
    assert quick.answer[1]["body"] == b"abcd"
    assert all(not each.answer for each in slow)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_body_that_is_too_slow_is_answered_408() -> None:
    client = Client(b"{", never=True)
    with pytest.raises(BodyTooSlowError) as error:
        await bodies.read_body(client.receive, limit_bytes=100, seconds=0.01)

    assert error.value.status == 408


@pytest.mark.parametrize("is_declared", [True, False])
async def test_a_body_over_the_limit_never_reaches_django(
    is_declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    monkeypatch.setattr(admission, "max_body_bytes", lambda: 10)
    headers = [(b"content-length", b"9" * 30)] if is_declared else []
    client = Client(b"12345", b"67890", b"!", never=True)
    await Admission(django, slots=1)({**SCOPE, "headers": headers}, client.receive, client.send)

    assert client.status == 413
    assert json.loads(client.answer[1]["body"])["code"] == "payload_too_large"
    assert reached == []


async def test_bodies_that_are_held_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_HELD_BYTES", 100)
    site = Admission(echo, slots=1)
    first = Client(b"x" * 80, never=True)
    task = asyncio.create_task(site(SCOPE, first.receive, first.send))
    await asyncio.sleep(0)
    second = Client(b"x" * 30)
    await site(SCOPE, second.receive, second.send)
    assert second.status == 503

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    third = Client(b"x" * 90)
    await site(SCOPE, third.receive, third.send)
    assert third.status == 200


class Blocked:
    """An application whose answers wait for `free`, but those of one path."""

    def __init__(self, *, open_path: str = "") -> None:
        self.free = asyncio.Event()
        self._open_path = open_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != self._open_path:
            await self.free.wait()
        await echo(scope, receive, send)


async def test_nobody_waits_for_a_place_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAITING_SECONDS", 0.01)
    django = Blocked()
    site = Admission(django, slots=1)
    first, second, third = Client(), Client(), Client()
    task = asyncio.create_task(site(SCOPE, first.receive, first.send))
    await asyncio.sleep(0)
    await site(SCOPE, second.receive, second.send)
    assert second.status == 503
    assert (b"retry-after", b"2") in second.answer[0]["headers"]

    django.free.set()
    await task
    await site(SCOPE, third.receive, third.send)
    assert (first.status, third.status) == (200, 200)


@pytest.mark.parametrize("probe", ["/healthz", "/readyz"])
async def test_health_is_told_while_every_place_is_taken(probe: str, settings: Any) -> None:
    settings.REQUEST_SLOTS = 1
    django = Blocked(open_path=probe)
    site = Site(django)
    busy = {**SCOPE, "method": "GET"}
    clients = [Client(), Client()]
    tasks = [asyncio.create_task(site(busy, each.receive, each.send)) for each in clients]
    await asyncio.sleep(0)

    asker = Client()
    async with asyncio.timeout(5):
        await site({**busy, "path": probe}, asker.receive, asker.send)

    assert asker.status == 200
    assert not any(each.answer for each in clients)
    django.free.set()
    await asyncio.gather(*tasks)
    await site.lane.aclose()


async def test_an_answer_nobody_takes_holds_no_place() -> None:
    site = Admission(echo, slots=1)
    slow = Client(b"a")
    slow.takes.clear()
    task = asyncio.create_task(site(SCOPE, slow.receive, slow.send))
    await asyncio.sleep(0)
    quick = Client(b"b")
    async with asyncio.timeout(5):
        await site(SCOPE, quick.receive, quick.send)

    assert quick.status == 200
    assert not slow.answer
    slow.takes.set()
    await task
    assert slow.answer[1]["body"] == b"a"


async def test_an_answer_nobody_takes_is_cut_off_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "SEND_SECONDS", 0.01)
    slow = Client(b"a")
    slow.takes.clear()

    with pytest.raises(TimeoutError):
        await Admission(echo, slots=1)(SCOPE, slow.receive, slow.send)
    assert not slow.answer
