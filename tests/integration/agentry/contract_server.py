"""A small real HTTP server that speaks the REST contract and can be told to misbehave.

It holds one workspace, `lab`. What it answers is scripted by each test: `replies` by method and
path (used once each, then the default), and event lists by run; `stream_cut` ends every stream
after that many events.
"""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import uvicorn

TOKEN = "agk_test"
RUN = "0199c0de-0000-7000-8000-000000000001"
CHILD = "0199c0de-0000-7000-8000-000000000002"
BASE = "/api/v1/workspaces/lab"
RUN_PATH = f"{BASE}/runs/{RUN}"

_Scope: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False  # close the connection in the middle of the answer


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


def problem(status: int, code: str, detail: str, **more: Any) -> Answer:
    body = {"type": f"/docs#{code}", "title": code, "status": status, "detail": detail}
    return Answer(status, {**body, "code": code, **more})


def run_object(run_id: str = RUN, **changes: Any) -> dict[str, Any]:
    return {
        "id": run_id,
        "workspace": "lab",
        "agent": "researcher",
        "version": 1,
        "state": "succeeded",
        "wait_kind": "",
        "input": "Say hello",
        "output": "Hello.",
        "usage": {"input_tokens": 1200, "output_tokens": 34, "total_tokens": 1234},
        "cost_usd": "0.0123",
        "iteration": 2,
        "head_sequence": 0,
        "created_at": "2026-11-22T08:00:00Z",
        **changes,
    }


@dataclass
class ContractServer:
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    replies: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    defaults: dict[str, Answer] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deltas: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    stream_cut: int = 0
    holes: set[int] = field(default_factory=set)  # sequences left out of the next stream only
    held: set[str] = field(default_factory=set)  # their streams stay open until `released`
    released: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def requests(self, method: str, path: str) -> list[Seen]:
        return [each for each in self.seen if (each.method, each.path) == (method, path)]

    def will(self, what: str, *answers: Answer) -> None:
        self.replies[what] += answers

    def always(self, what: str, body: Any, status: int = 200) -> None:
        self.defaults[what] = Answer(status, body)

    def tell(self, run_id: str, *events: tuple[str, dict[str, Any]], **run: Any) -> None:
        """A run whose whole story is these events."""
        self.events[run_id] = [
            {"run_id": run_id, "sequence": number, "kind": kind, "at": "2026-11-22T08:00:00Z",
             "cursor": str(number), "payload": payload}
            for number, (kind, payload) in enumerate(events, start=1)
        ]  # fmt: skip
        self.runs[run_id] = run_object(run_id, head_sequence=len(events), **run)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = Seen(
            method=scope["method"],
            path=unquote(scope["path"]),
            query=dict(parse_qsl(scope["query_string"].decode())),
            headers=headers,
            body=json.loads(body) if body else None,
        )
        self.seen.append(request)
        answer = self._answer(request)
        if answer is None:
            await self._stream(request, send)
        elif answer.is_cut:
            await send({"type": "http.response.start", "status": 200,
                        "headers": [(b"content-length", b"100")]})  # fmt: skip
            await _chunk(send, "{")
            raise ConnectionAbortedError
        else:
            await _reply(send, answer)

    def _answer(self, request: Seen) -> Answer | None:
        what = f"{request.method} {request.path}"
        if self.replies.get(what):
            return self.replies[what].pop(0)
        if request.path in ("/version", "/readyz", "/healthz"):
            return self.defaults.get(what) or Answer(body={"version": "1.2.3", "status": "ok"})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "token_invalid", "The token is not valid.")
        if what in self.defaults:
            return self.defaults[what]
        if request.path.endswith("/events/stream"):
            return None
        parts = request.path.removeprefix(f"{BASE}/runs/").split("/")
        if request.path.startswith(f"{BASE}/runs/") and parts[0] in self.runs:
            return self._run_answer(request, parts)
        return problem(404, "not_found", f"There is no {request.path}.")

    def _run_answer(self, request: Seen, parts: list[str]) -> Answer:
        run = self.runs[parts[0]]
        if parts[1:] == ["events"]:
            after = int(request.query.get("after", "0"))
            return Answer(body={"items": self.events[parts[0]][after:], "next_cursor": None})
        if parts[1:] == ["cancel"]:
            run.update(state="cancelled", reason=(request.body or {}).get("reason", ""))
        return Answer(body=run)

    async def _stream(self, request: Seen, send: _Send) -> None:
        run_id = request.path.split("/")[-3]
        after = int(request.headers.get("last-event-id") or request.query.get("after", "0"))
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _chunk(send, "retry: 2000\n\n: heartbeat\n\n")
        left = self.stream_cut or len(self.events[run_id])
        holes, self.holes = self.holes, set()
        for event in self.events[run_id][after:]:
            number = event["sequence"]
            for piece in self.deltas.get(run_id, {}).get(number, ()):
                delta = {"type": "delta", "run_id": run_id, "channel": "text", "delta": piece}
                await _chunk(send, f"event: delta\ndata: {json.dumps(delta)}\n\n")
            if left == 0:
                raise ConnectionAbortedError
            left -= 1
            if number not in holes:
                text = f"id: {number}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
                # In two pieces, so that a reader cannot count on whole events.
                await _chunk(send, text[: len(text) // 2])
                await _chunk(send, text[len(text) // 2 :])
        if run_id in self.held:
            self.opened.set()
            await asyncio.to_thread(self.released.wait)
        await _chunk(send, "event: end\ndata: {}\n\n")
        await send({"type": "http.response.body", "body": b""})


async def _chunk(send: _Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _reply(send: _Send, answer: Answer) -> None:
    content = b"" if answer.body is None else json.dumps(answer.body).encode()
    kind = "application/json" if answer.status < 400 else "application/problem+json"
    headers = {"content-type": kind, "date": formatdate(usegmt=True), **answer.headers}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": content})


class Stage:
    """What listens: one for all tests, because starting and stopping takes longer than most.

    Each test puts a `ContractServer` of its own on it.
    """

    def __init__(self) -> None:
        self.url = ""
        self._now: ContractServer | None = None

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        assert self._now is not None, "somebody asks after the test"
        await self._now(scope, receive, send)

    @contextmanager
    def given(self) -> Iterator[ContractServer]:
        self._now = ContractServer(url=self.url)
        try:
            yield self._now
        finally:
            self._now.released.set()
            self._now = None


@contextmanager
def serving() -> Iterator[Stage]:
    """The stage in a thread, on a free port."""
    stage = Stage()
    config = uvicorn.Config(
        stage,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_level="critical",
        ws="none",
        date_header=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="contract-server")
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        stage.url = f"http://127.0.0.1:{port}"
        yield stage
    finally:
        server.should_exit = True
        thread.join()
