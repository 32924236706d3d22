"""Group commit: coroutines hand over records and await the commit that carries them.

One writer thread per process. It writes whatever queued while the previous commit was under way
(at most `MAX_BATCH` contributions) in one transaction that checks every fence; there is no timer.
A batch that fails for a reason of one contribution is split until the culprit fails alone.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from agents.journal.records import (
    Birth,
    Born,
    Committed,
    Contribution,
    Entry,
    Lease,
    Lost,
    Outcome,
)
from core.errors import LeaseLostError, UnavailableError
from core.metrics.instruments import (
    COMMIT_ENTRIES,
    COMMIT_SECONDS,
    JOURNAL_ENTRIES,
    JOURNAL_SPLITS,
)
from core.pausepoints import reach

MAX_BATCH = 500

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """Writes batches to one database. Used by the journal's thread only."""

    def write(self, batch: Sequence[Contribution]) -> list[Outcome]:
        """Commit `batch` in one transaction; one outcome each, in order.

        No two entries of a batch name the same run with different fences. Connection failures are
        handled inside: the writer reconnects and finds out whether its last commit took effect.
        """
        ...

    def renew(self, worker_id: UUID, until: datetime) -> list[Lease]: ...

    def close(self) -> None: ...


class _Item:
    """A queued contribution whose submitter waits in a thread."""

    __slots__ = ("contribution", "future")

    def __init__(self, contribution: Contribution) -> None:
        self.contribution = contribution
        self.future: Future[Outcome] = Future()

    def resolve(self, outcome: Outcome | Exception) -> None:
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class _LoopItem:
    """A queued contribution whose submitter waits in an event loop.

    Lighter than a future that crosses threads: the writer resolves all items of a loop with one
    call into it.
    """

    __slots__ = ("_outcome", "_waiter", "contribution", "loop")

    def __init__(self, contribution: Contribution, loop: asyncio.AbstractEventLoop) -> None:
        self.contribution = contribution
        self.loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._outcome: Outcome | Exception | None = None

    def resolve(self, outcome: Outcome | Exception) -> None:
        """On the loop's thread."""
        self._outcome = outcome
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> Outcome:
        """Wait for the outcome. Being cancelled waits all the same and is raised afterwards, so
        that the submitter never lets go of a write whose outcome is open: a cancellation that
        comes out of here says that the write is durable, any other ending is told as it is."""
        was_cancelled = False
        while self._outcome is None:
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                was_cancelled = True
        if isinstance(self._outcome, Exception):
            raise self._outcome
        if was_cancelled and not isinstance(self._outcome, Lost):
            raise asyncio.CancelledError
        return self._outcome


class CallbackItem:
    """A queued contribution of code that goes on in a callback on its loop."""

    __slots__ = ("contribution", "loop", "resolve")

    def __init__(
        self,
        contribution: Contribution,
        loop: asyncio.AbstractEventLoop,
        resolve: Callable[[Outcome | Exception], None],
    ) -> None:
        self.contribution = contribution
        self.loop = loop
        self.resolve = resolve


@dataclass(slots=True)
class Statistics:
    """Counts since the start, for metrics and benches."""

    commits: int = 0
    contributions: int = 0
    splits: int = 0


@dataclass(slots=True)
class _Renewal:
    worker_id: UUID
    until: datetime
    future: "Future[list[Lease]]" = field(default_factory=Future)


_AnyItem: TypeAlias = _Item | _LoopItem | CallbackItem


class Journal:
    """The process's one way to write run history. Safe from any thread and any event loop.

    `on_commit` is called on the writer thread with the heads of runs that moved; it must not block.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        on_commit: Callable[[Sequence[tuple[UUID, UUID, int]]], None],
        max_queued: int = 100_000,
    ) -> None:
        self._writer = writer
        self._on_commit = on_commit
        self._max_queued = max_queued
        self._queue: deque[_AnyItem] = deque()
        self._renewals: deque[_Renewal] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._is_idle = False
        self.statistics = Statistics()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def submit(self, contribution: Contribution) -> "Future[Outcome]":
        """Queue a contribution; the future resolves after its commit.

        Raises:
            UnavailableError: The queue is full or the journal is closed.
        """
        item = _Item(contribution)
        self.put(item)
        return item.future

    async def _submitted(self, contribution: Contribution) -> Outcome:
        item = _LoopItem(contribution, asyncio.get_running_loop())
        self.put(item)
        return await item.wait()

    def put(self, item: "_AnyItem") -> None:
        """Queue an item; its `resolve` is called after its commit.

        Raises:
            UnavailableError: The queue is full or the journal is closed.
        """
        with self._wake:
            if self._closing:
                raise UnavailableError("This process is stopping.", remedy="Send it again.")
            if len(self._queue) >= self._max_queued:
                raise UnavailableError(
                    "Too many writes are waiting for the database.", remedy="Retry in a second."
                )
            self._queue.append(item)
            if self._is_idle:
                self._wake.notify()

    async def commit(self, entry: Entry) -> Committed:
        """Write `entry` and return when it is durable.

        Raises:
            LeaseLostError: Another worker owns the run now, or it was moved; stop quietly.
        """
        outcome = await self._submitted(entry)
        if isinstance(outcome, Committed):
            return outcome
        raise LeaseLostError(f"The run {entry.run_id} is no longer owned by this worker.")

    async def bear(self, birth: Birth) -> Born:
        """Insert an accepted run and return when it is durable."""
        outcome = await self._submitted(birth)
        assert isinstance(outcome, Born)
        return outcome

    async def renew(self, worker_id: UUID, until: datetime) -> list[Lease]:
        """Extend every lease of the worker in one statement; returns what it still holds."""
        renewal = _Renewal(worker_id, until)
        renewal.future.set_running_or_notify_cancel()  # whoever stops waiting leaves it to us
        with self._wake:
            if self._closing:
                raise UnavailableError("This process is stopping.")
            self._renewals.append(renewal)
            self._wake.notify()
        return await asyncio.wrap_future(renewal.future)

    def close(self) -> None:
        """Write what is queued, then stop the thread and the connection."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._writer.close()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._queue or self._renewals or self._closing):
                    self._is_idle = True
                    self._wake.wait()
                self._is_idle = False
                if self._closing and not self._queue and not self._renewals:
                    return
                batch = self._take()
                renewals = list(self._renewals)
                self._renewals.clear()
            for renewal in renewals:
                self._renew(renewal)
            if batch:
                self._flush(batch)

    def _take(self) -> list[_AnyItem]:
        """Take the next batch, leaving entries whose run is in it under another fence."""
        batch: list[_AnyItem] = []
        later: list[_AnyItem] = []
        fences: dict[UUID, int] = {}
        while self._queue and len(batch) < MAX_BATCH:
            item = self._queue.popleft()
            entry = item.contribution
            if (
                isinstance(entry, Entry)
                and fences.setdefault(entry.run_id, entry.fence) != entry.fence
            ):
                later.append(item)
            else:
                batch.append(item)
        self._queue.extendleft(reversed(later))
        return batch

    def _renew(self, renewal: _Renewal) -> None:
        try:
            renewal.future.set_result(self._writer.renew(renewal.worker_id, renewal.until))
        except Exception as error:
            logger.exception("lease_renewal_failed")
            renewal.future.set_exception(error)

    def _flush(self, items: list[_AnyItem]) -> None:
        reach("journal.before_write")
        began = time.perf_counter()
        try:
            outcomes = self._writer.write([item.contribution for item in items])
        except UnavailableError as error:
            # No part of the batch would fare better, and each would wait as long again.
            logger.exception("journal_unavailable")
            _resolve((item, error) for item in items)
            return
        except Exception as error:  # noqa: BLE001 - whatever a row does wrong is its submitter's
            self._split(items, error)
            return
        reach("journal.after_commit")
        self.statistics.commits += 1
        self.statistics.contributions += len(items)
        COMMIT_SECONDS.observe(time.perf_counter() - began)
        COMMIT_ENTRIES.observe(len(items))
        JOURNAL_ENTRIES.add(len(items))
        self._announce(zip((item.contribution for item in items), outcomes, strict=True))
        _resolve(zip(items, outcomes, strict=True))

    def _split(self, items: list[_AnyItem], error: Exception) -> None:
        if len(items) == 1:
            logger.error("journal_entry_refused", exc_info=error)
            _resolve([(items[0], error)])
            return
        self.statistics.splits += 1
        JOURNAL_SPLITS.add(1)
        middle = len(items) // 2
        self._flush(items[:middle])
        self._flush(items[middle:])

    def _announce(self, outcomes: Iterable[tuple[Contribution, Outcome]]) -> None:
        heads: dict[UUID, tuple[UUID, UUID, int]] = {}
        for contribution, outcome in outcomes:
            match contribution, outcome:
                case Entry(), Committed():
                    heads[contribution.run_id] = (
                        contribution.workspace_id,
                        contribution.run_id,
                        outcome.head_sequence,
                    )
                case Birth(), Born(existing_id=None):
                    run = contribution.run
                    heads[run.id] = (run.workspace_id, run.id, 1)
                case _, Lost() | Born():
                    continue
            if isinstance(contribution, Entry):
                for child in contribution.children:
                    heads[child.id] = (child.workspace_id, child.id, 1)
        if not heads:
            return
        try:
            self._on_commit(list(heads.values()))
        except Exception:
            # The rows are durable; news of them is not worth failing the writers for.
            logger.exception("announcement_failed")


def _resolve(pairs: "Iterable[tuple[_AnyItem, Outcome | Exception]]") -> None:
    """Hand outcomes back: each loop is called once, however many of its items there are."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_AnyItem, Outcome | Exception]]] = {}
    for item, outcome in pairs:
        if isinstance(item, _Item):
            item.resolve(outcome)
        else:
            by_loop.setdefault(item.loop, []).append((item, outcome))
    for loop, resolved in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_here, resolved)
        except RuntimeError:
            # The loop was closed while its write was under way; the rows are as durable as ever.
            logger.warning("journal_loop_closed", extra={"items": len(resolved)})


def _resolve_here(resolved: "list[tuple[_AnyItem, Outcome | Exception]]") -> None:
    for item, outcome in resolved:
        item.resolve(outcome)
