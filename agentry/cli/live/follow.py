"""Watching a run and its children until the end, or until Ctrl-C.

The first Ctrl-C stops watching and says how to come back; one more within a moment asks whether
to cancel the run.
"""

import asyncio
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

import typer

from agentry.cli import PROGRAM
from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation
from agentry.cli.live.lines import PlainLines, Show, Silence
from agentry.cli.live.story import Story, child_of
from agentry.cli.terminal import is_terminal, plain
from agentry.client.asynchronous import AsyncClient
from agentry.client.calls import runs
from agentry.client.errors import AgentryError
from agentry.client.records import Delta, Event, Run

if TYPE_CHECKING:
    from agentry.client.flow import Origin

SECOND_PRESS_SECONDS = 1.5
LAST_WORDS_SECONDS = 5.0


class Follower:
    """Feeds a story from the server: the run asked for, and every child it starts."""

    def __init__(self, client: AsyncClient, show: Show) -> None:
        self._client = client
        self._show = show
        self._story = Story(client.origin.url)
        self._children: dict[str, asyncio.Task[None]] = {}

    async def follow(self, run_id: str, *, after: int = 0) -> Run:
        self._show.open(self._story)
        try:
            return await self._tell(run_id, depth=0, after=after)
        finally:
            for task in self._children.values():
                task.cancel()
            await asyncio.gather(*self._children.values(), return_exceptions=True)
            self._show.close()

    async def _tell(self, run_id: str, *, depth: int, after: int = 0) -> Run:
        run = await self._client.runs.get(run_id)
        self._show.add(self._story.begin(run, depth=depth))
        own: list[asyncio.Task[None]] = []
        async with aclosing(self._client.runs.follow(run_id, after=after)) as items:
            async for item in items:
                if _ends_children(item):
                    await _settle(own)
                self._show.add(self._story.see(run_id, item))
                child = child_of(item) if isinstance(item, Event) else None
                if child is not None and child not in self._children:
                    task = asyncio.create_task(self._tell_child(child, depth + 1))
                    self._children[child] = task
                    own.append(task)
                if _is_yield(item) and (await self._client.runs.get(run_id)).state == "yielded":
                    break  # an older yield, before a resumption, is only history
        await _settle(own)
        run = await self._client.runs.get(run_id)
        self._show.add(self._story.end(run))
        return run

    async def _tell_child(self, run_id: str, depth: int) -> None:
        try:
            await self._tell(run_id, depth=depth)
        except AgentryError as error:
            # The run that was asked for is still watched; say that this part is missing.
            print(plain(f"Child {run_id} cannot be shown: {error}"), file=sys.stderr)


def _ends_children(item: Event | Delta) -> bool:
    """Whether this is told of the parent only when its children are over: their stories first."""
    if not isinstance(item, Event) or not item.payload:
        return False
    if item.kind == "tool.settled":
        return item.payload.get("tool") == "agent" and not item.payload.get("is_error")
    return item.kind == "run.state" and bool(item.payload.get("is_terminal"))


def _is_yield(item: Event | Delta) -> bool:
    return (
        isinstance(item, Event)
        and item.kind == "run.state"
        and (item.payload or {}).get("state") == "yielded"
    )


async def _settle(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait a moment for stories that are over but not yet told; not for runs that go on."""
    waited = [task for task in tasks if not task.done()]
    if waited:
        await asyncio.wait(waited, timeout=LAST_WORDS_SECONDS)


class Presses:
    """Counts Ctrl-C while a loop runs, instead of raising in the middle of something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.count = 0
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def _press(self) -> None:
        self.count += 1
        self.first.set()
        if self.count > 1:
            self.second.set()

    @contextmanager
    def counted(self) -> Iterator[None]:
        def handle(number: int, frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(self._press)

        before = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def watch_run(inv: Invocation, run_id: str, *, after: int = 0) -> None:
    """Watch until the end; exits with the code that the run's end deserves."""
    run, wants_cancel = asyncio.run(_watch(inv, run_id, after))
    if run is None:
        if wants_cancel:
            _offer_cancel(inv, run_id)
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not inv.is_table:
        inv.show(inv.fetch(runs.get(run_id)), print)
    elif inv.quiet:
        print(plain(run.output or ""))
    if run.state == "yielded":
        inv.say(f"It can go on: agentry runs resume {run.id} --limit iterations=…")
    if run.state != "succeeded":
        raise typer.Exit(ExitCode.RUN_FAILED)


def _show_for(inv: Invocation) -> Show:
    if inv.quiet:
        return Silence()
    stream = sys.stdout if inv.is_table else sys.stderr
    if is_terminal(stream):
        from agentry.cli.live.screen import Screen

        return Screen(stream)
    return PlainLines(stream)


async def _watch(inv: Invocation, run_id: str, after: int) -> tuple[Run | None, bool]:
    """The run at its end; or None when interrupted, and whether that was meant twice."""
    presses = Presses(asyncio.get_running_loop())
    origin = inv.client.origin
    with presses.counted():
        async with _client(origin) as client:
            following = asyncio.create_task(
                Follower(client, _show_for(inv)).follow(run_id, after=after)
            )
            pressing = asyncio.create_task(presses.first.wait())
            await asyncio.wait({following, pressing}, return_when=asyncio.FIRST_COMPLETED)
            pressing.cancel()
            if following.done():
                return following.result(), False
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        print(
            plain(
                f"Stopped watching; the run goes on. Come back: agentry runs watch {run_id}\n"
                "Press Ctrl-C again to cancel the run."
            ),
            file=sys.stderr,
            flush=True,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(SECOND_PRESS_SECONDS):
                await presses.second.wait()
    return None, presses.count > 1


def _client(origin: "Origin") -> AsyncClient:
    """The same address and credential as the blocking client has found."""
    return AsyncClient(
        url=origin.url, token=origin.token, workspace=origin.workspace, program=PROGRAM
    )


def _offer_cancel(inv: Invocation, run_id: str) -> None:
    if not is_terminal(sys.stdin):
        inv.say(f"Not cancelled: nobody to ask. Cancel it: agentry runs cancel {run_id}")
        return
    try:
        agreed = typer.confirm(f"Cancel run {run_id} and its children?", default=False, err=True)
    except (typer.Abort, KeyboardInterrupt):
        agreed = False
    if not agreed:
        inv.say("It goes on.")
        return
    run = inv.client.runs.cancel(run_id, reason="Cancelled from the terminal.")
    asked = run.control == "cancel"
    inv.say(f"Run {run_id} is {'being cancelled' if asked else run.state}.")
