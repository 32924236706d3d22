"""The engine of one worker process: an event loop in a thread that drives many runs.

It claims queued runs up to its capacity when a doorbell rings or the poll is due, renews all
leases in one statement, repairs what it finds on the way, and gives its runs back when it drains:
for good when its process stops, or until that is undone when its row asks for it.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog

from agents.contracts import RunState
from agents.execution import cancelling
from agents.execution.calls import folder_of
from agents.execution.claiming import claim
from agents.execution.collecting import snapshots_collect_due
from agents.execution.context import RunContext
from agents.execution.doubts import doubts_ask
from agents.execution.driver import RunDriver
from agents.execution.furnishing import Furniture, HostSettings
from agents.execution.lately import Lately
from agents.execution.noticing import notice
from agents.execution.registration import drain_asked, worker_gone, worker_seen, workers_bury
from agents.execution.stops import Stop
from agents.execution.sweep import sweep
from agents.execution.telling import run_claimed
from agents.journal.journal import Journal
from agents.journal.records import Entry
from agents.transitions import leases_end
from core import clock
from core.errors import UnavailableError
from core.ids import new_id
from core.metrics.instruments import RECORDER
from governance.services.approvals import approvals_announce
from observability.telemetry import loop_unwatch, loop_watch
from sandbox.contracts import RunnerSource
from sandbox.services import sandboxes

logger = logging.getLogger(__name__)
CLAIM_BATCH = 250
COLLECT_SECONDS = 600.0


class EngineHost:
    """Start once per process with `start`; `ring` from anywhere; `drain` before the end."""

    def __init__(
        self,
        settings: HostSettings,
        make_journal: Callable[[], Journal],
        make_sandboxes: Callable[[], RunnerSource] = sandboxes,
    ) -> None:
        self._settings = settings
        self._make_journal = make_journal
        self._make_sandboxes = make_sandboxes
        self.worker_id = new_id()
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._drivers: dict[UUID, RunDriver] = {}
        self._started_at = clock.now()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._doorbell = asyncio.Event()
        self._running_told = 0
        self._runs_ended = Lately()
        self._is_stopping = False  # for good: the process ends
        self._is_draining = False  # asked by its row, and may be undone
        self._claims_begun = 0
        self._claims_ended = 0
        self._unknown: dict[tuple[UUID, int], int] = {}
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._news: set[asyncio.Task[None]] = set()
        self._letting_go: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run_loop, name="engine", daemon=True)

    @property
    def running(self) -> int:
        return len(self._drivers)

    def start(self) -> None:
        """Start the engine's thread and return when it claims runs.

        Raises:
            UnavailableError: It could not start; the cause is chained.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise UnavailableError("The engine could not start.") from self._failure

    def ring(self) -> None:
        """Say that there may be work. Safe from any thread; costs nothing when repeated."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._doorbell.set)

    def drain(self) -> None:
        """Give back every run at its next step boundary, then stop. Returns when done.

        Runs that reach no boundary within the drain time are given back where they are: a model
        is asked again elsewhere, a tool call is judged by its effect class.
        """
        loop = self._loop
        if loop is None or not self._thread.is_alive():
            return

        def begin() -> None:
            self._is_stopping = True
            self._doorbell.set()

        loop.call_soon_threadsafe(begin)
        self._thread.join()

    def _run_loop(self) -> None:
        try:
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            self._failure = error
            logger.exception("engine_stopped")
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        structlog.contextvars.bind_contextvars(worker=self.name)  # tasks begun here inherit it
        settings = self._settings
        self._shared = Furniture(settings, self._make_journal(), self._make_sandboxes())
        self._means = self._shared.means(on_released=self._released, on_asked=self._asked)
        if await self._shared.database.run(workers_bury):
            await self._sweep()
        await self._register()
        watch = loop_watch(self._loop)
        RECORDER.gauge("agentry_engine_runs", lambda: float(len(self._drivers)))
        RECORDER.gauge("agentry_engine_capacity", lambda: float(settings.capacity))
        beats = [
            asyncio.create_task(self._every(settings.lease_seconds / 3, self._renew)),
            # By itself: it stands in line with drivers' work, and renewing must not.
            asyncio.create_task(self._every(settings.lease_seconds / 3, self._register)),
            asyncio.create_task(
                self._every(min(settings.poll_seconds, 1.0), self._look_at_controls)
            ),
            asyncio.create_task(self._every(settings.poll_seconds * 2, self._sweep)),
            asyncio.create_task(self._every(COLLECT_SECONDS, self._collect)),
        ]
        self._ready.set()
        try:
            while not self._is_stopping:
                await self._claim_loop()
                await self._stand_by()
            await self._give_back()
        finally:
            for beat in beats:
                beat.cancel()
            await asyncio.gather(*beats, return_exceptions=True)
            await self._close()
            await asyncio.to_thread(loop_unwatch, watch)

    async def _close(self) -> None:
        aside = [*self._news, *([self._letting_go] if self._letting_go else [])]
        await asyncio.gather(*aside, return_exceptions=True)
        await self._shared.close(partial(worker_gone, self.worker_id))

    async def _every(
        self, seconds: float, work: Callable[[], "asyncio.Future[None] | object"]
    ) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                result = work()
                if asyncio.iscoroutine(result):
                    await result
            except asyncio.CancelledError:
                raise
            except Exception:
                # The next beat tries again; a lease that cannot be renewed is lost, which is right.
                logger.exception("engine_beat_failed")

    async def _claim_loop(self) -> None:
        settings = self._settings
        while not (self._is_stopping or self._is_draining):
            self._doorbell.clear()
            room = settings.capacity - len(self._drivers)
            taken = 0
            if room > 0:
                taken = await self._claim(min(room, CLAIM_BATCH))
            if taken == min(room, CLAIM_BATCH) and taken:
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(settings.poll_seconds):
                    await self._doorbell.wait()
            except TimeoutError:
                pass

    async def _claim(self, count: int) -> int:
        job = partial(
            claim,
            worker_id=self.worker_id,
            count=count,
            lease_seconds=self._settings.lease_seconds,
        )
        self._claims_begun += 1
        try:
            contexts = await self._shared.database.run(job)
            for context in contexts:
                run_claimed(context)
                self._begin(context)
        except Exception:
            # Runs that were taken and are driven by nobody are strays; the next renewal finds them.
            logger.exception("claim_failed")
            return 0
        finally:
            self._claims_ended += 1
        return len(contexts)

    def _begin(self, context: RunContext) -> None:
        context.blocker = self._shared.toolbox.blocker(context)
        driver = RunDriver(context, self._means)
        self._drivers[context.run_id] = driver
        task = driver.begin()
        task.add_done_callback(lambda _: self._ended(driver))

    def _ended(self, driver: RunDriver) -> None:
        if self._shared.sandboxes.known:
            self._shared.sandboxes.leave(folder_of(self._settings.workspaces, driver.context))
        if self._drivers.get(driver.context.run_id) is driver:
            del self._drivers[driver.context.run_id]
        if len(self._drivers) >= self._settings.capacity - 1:
            self._doorbell.set()

    def _released(self, entry: Entry) -> None:
        """Called when a run was let go: what waits for it may be claimable now."""
        progress = entry.progress
        if progress.state == RunState.CANCELLED.value:
            asyncio.get_running_loop().create_task(self._cancel_children(entry.run_id))
        if progress.finished_at is not None:
            self._runs_ended.note()
        may_wake = entry.parent_id is not None or (
            entry.session_id is not None and progress.finished_at is not None
        )
        is_given_back = progress.state == RunState.QUEUED.value
        if may_wake or entry.children or progress.wait_kind or is_given_back:
            self._doorbell.set()

    def _asked(self, entry: Entry) -> None:
        """Called when people were asked, or are to be, or what they were asked was withdrawn."""
        news = partial(
            approvals_announce,
            asked=[row.id for row in entry.approvals],
            ended_run_id=entry.run_id if entry.closes else None,
        )
        task = asyncio.get_running_loop().create_task(self._announce(news))
        self._news.add(task)
        task.add_done_callback(self._news.discard)

    async def _announce(self, news: Callable[[], None]) -> None:
        try:
            await self._shared.sweeps.run(news)
            await self._shared.sweeps.run(doubts_ask)
        except UnavailableError:
            # The questions are in the table, where whoever must miss none looks too.
            logger.warning("approval_news_lost")

    async def _cancel_children(self, run_id: UUID) -> None:
        await self._shared.sweeps.run(partial(cancelling.cancel_below, run_id, actor="parent"))
        self._doorbell.set()

    async def _renew(self) -> None:
        until = clock.now() + timedelta(seconds=self._settings.lease_seconds)
        unknown = []
        for lease in await self._shared.journal.renew(self.worker_id, until):
            driver = self._drivers.get(lease.run_id)
            if driver is not None and lease.fence == driver.context.fence:
                driver.brake.obey(lease.control)
            else:
                unknown.append((lease.run_id, lease.fence))
        self._look_for_strays(unknown)

    def _look_for_strays(self, unknown: Sequence[tuple[UUID, int]]) -> None:
        """Find runs that are this worker's and that it does not drive, and end their leases.

        The connection broke when the answer to a claim was on its way, or the driver gave up while
        the database was away: renewed with the others, such a run would belong to nobody for ever.
        A run is a stray only when every claim has ended that was under way as it was first seen.
        """
        self._unknown = {lease: self._unknown.get(lease, self._claims_begun) for lease in unknown}
        strays = [lease for lease, begun in self._unknown.items() if begun <= self._claims_ended]
        if strays and (self._letting_go is None or self._letting_go.done()):
            # Beside the renewals, which wait for nobody's lock.
            self._letting_go = asyncio.create_task(self._let_go(strays))

    async def _let_go(self, strays: Sequence[tuple[UUID, int]]) -> None:
        logger.warning("stray_runs_let_go", extra={"count": len(strays)})
        try:
            await self._shared.sweeps.run(partial(leases_end, self.worker_id, leases=strays))
            await self._sweep()
        except Exception:
            # The next renewal finds them again.
            logger.exception("stray_runs_held_on_to")

    async def _look_at_orders(self) -> None:
        """Notice that somebody asked this worker to drain, or took that back."""
        is_asked = await self._shared.sweeps.run(partial(drain_asked, self.worker_id))
        if is_asked is None:
            return
        is_done = is_asked and self._running_told > 0 and not self._drivers
        if is_asked is self._is_draining and not is_done:
            return
        if is_asked is not self._is_draining:
            logger.info("worker_drains" if is_asked else "worker_goes_on")
            self._is_draining = is_asked
            self._doorbell.set()
        await self._register()

    async def _look_at_controls(self) -> None:
        """Notice what people asked of this worker, and of runs that are in a long call and commit
        nothing."""
        await self._look_at_orders()
        if not self._drivers:
            return
        asked = await self._shared.sweeps.run(partial(cancelling.asked_of, self.worker_id))
        for run_id, control, version in asked:
            if (driver := self._drivers.get(run_id)) is not None:
                driver.brake.obey(control)
                if driver.context.debug_version < version:
                    driver.debug_changed()
        driven = [driver.context for driver in self._drivers.values()]
        await notice(driven, self._shared.sweeps)

    async def _sweep(self) -> None:
        if not self._is_stopping and (await self._shared.sweeps.run(sweep)).total:
            self._doorbell.set()

    async def _collect(self) -> None:
        """Delete snapshots nobody needs, when it is time; ends early when the engine drains."""
        await self._shared.collects.run(
            partial(snapshots_collect_due, is_over=lambda: self._is_stopping)
        )

    async def _register(self) -> None:
        self._running_told = len(self._drivers)
        await self._shared.database.run(
            partial(
                worker_seen,
                worker_id=self.worker_id,
                name=self.name,
                capacity=self._settings.capacity,
                running=self._running_told,
                ended_lately=self._runs_ended.count(),
                is_draining=self._is_stopping or self._is_draining,
                is_asked_to_drain=self._is_draining,
                started_at=self._started_at,
            )
        )

    async def _stand_by(self) -> None:
        """Give every run back at its next step boundary and take none, until that is undone.

        Nobody is in a hurry, so that no call is ended. Undone, the runs that are still here stay.
        """
        for driver in self._drivers.values():
            driver.brake.stop(Stop.DRAIN)
        while True:
            self._doorbell.clear()
            if self._is_stopping or not self._is_draining:
                break
            await self._doorbell.wait()
        for driver in self._drivers.values():
            driver.brake.withdraw(Stop.DRAIN)

    async def _give_back(self) -> None:
        """Stop every driver, politely first."""
        drivers = list(self._drivers.values())
        for driver in drivers:
            driver.brake.stop(Stop.DRAIN)
        await self._wait_until_idle(self._settings.drain_seconds)
        for driver in list(self._drivers.values()):
            driver.brake.stop(Stop.ABANDON)
        await self._wait_until_idle(10.0)
        if self._drivers:
            logger.error("runs_left_behind", extra={"count": len(self._drivers)})

    async def _wait_until_idle(self, seconds: float) -> None:
        tasks = [
            driver.brake.task for driver in self._drivers.values() if driver.brake.task is not None
        ]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
