"""What every server process does beside its work: report itself, its lag, and do its profiles.

One thread a process, one row. A request for a profile is a row as well: so a page on one host
reaches a process on another, and the process samples itself.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from core import clock, loop_lag
from core.ids import new_id
from core.process import installed_version
from observability.execution.sampling import OWN_THREAD, SamplingError, sample
from observability.models import Process, Profile, SlowCallback
from observability.transitions import (
    profile_claim,
    profile_done,
    profile_failed,
    profiles_give_up,
)

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
BEAT_SECONDS: Final = 5.0
LEAVE_SECONDS: Final = 5.0
FORGOTTEN_AFTER_SECONDS: Final = 86_400.0
SLOW_KEPT: Final = 200  # of a process
SLOW_KEPT_IN_ALL: Final = 2_000
PROFILES_KEPT: Final = 50


class ProcessWatch:
    """Start once per process with `start`; `stop` before the end. `step` is one round of it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.process_id = new_id()
        self.name = f"{kind} {socket.gethostname()}:{os.getpid()}"
        self._started_at = clock.now()
        self._told: set[tuple[datetime, str]] = set()
        self._is_reporting = True
        self._beat_at = -BEAT_SECONDS
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=OWN_THREAD, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take back the row; a profile that is under way is told to have been stopped.

        A database that does not answer holds nobody up for long: silence tells the rest.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(LEAVE_SECONDS)

    def step(self) -> None:
        """Report what is due, and do a profile if one is asked for."""
        self.beat()
        if (profile := profile_claim(self.process_id)) is not None:
            self._profile(profile)

    def beat(self) -> None:
        """Write the row and new slow callbacks, when it is time."""
        if clock.monotonic() - self._beat_at < BEAT_SECONDS:
            return
        self._beat_at = clock.monotonic()
        now, worst = lag_of(loop_lag.lags())
        Process.objects.update_or_create(
            pk=self.process_id,
            defaults={
                "kind": self.kind,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "version": installed_version(),
                "started_at": self._started_at,
                "seen_at": clock.now(),
                "lag_seconds": now,
                "lag_p99_seconds": worst,
            },
        )
        self._tell_slow(loop_lag.recent())
        profiles_give_up()
        processes_forget()

    def _tell_slow(self, recent: Sequence[loop_lag.SlowCallback]) -> None:
        new = [slow for slow in recent if (slow.at, slow.where) not in self._told]
        if not new:
            return
        SlowCallback.objects.bulk_create(
            SlowCallback(
                process_id=self.process_id,
                process=self.name,
                at=slow.at,
                seconds=slow.seconds,
                where=slow.where[:300],
                stack=[place[:300] for place in slow.stack],
            )
            for slow in new
        )
        self._told = {(slow.at, slow.where) for slow in recent}
        slow_callbacks_bound(self.process_id)

    def _profile(self, profile: Profile) -> None:
        try:
            found = sample(
                seconds=profile.seconds,
                rate=profile.rate,
                with_idle=profile.with_idle,
                is_over=self._stopping.is_set,
                beat=lambda: self._persistently(self.beat),
            )
        except SamplingError as error:
            logger.warning("profile_failed", extra={"problem": error.problem})
            profile_failed(profile.pk, problem=error.problem, remedy=error.remedy)
            return
        if not profile_done(profile.pk, stacks=found.packed(), samples=found.samples):
            logger.warning("profile_came_too_late", extra={"profile": str(profile.pk)})
        profiles_bound()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self._persistently(self._round)
        self._leave()

    def _round(self) -> None:
        close_old_connections()
        self.step()

    def _persistently(self, work: Callable[[], None]) -> None:
        """Do it, or say once that it cannot be done: the process goes on without being reported."""
        try:
            work()
        except Exception:
            connection.close()
            if self._is_reporting:
                logger.warning("process_unreported", exc_info=True)
            self._is_reporting = False
        else:
            self._is_reporting = True

    def _leave(self) -> None:
        try:
            if (profile := profile_claim(self.process_id)) is not None:
                profile_failed(profile.pk, problem="The process stopped before it could begin.")
            Process.objects.filter(pk=self.process_id).delete()
        except (DatabaseError, InterfaceError):
            # Its silence will tell.
            logger.warning("process_row_left_behind", exc_info=True)
        finally:
            connection.close()


def lag_of(loops: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Return the last lag of the latest loop and the 99th percentile over all loops; nothing
    where no loop is watched or none has been beaten yet."""
    ordered = sorted(lag for loop in loops for lag in loop)
    if not ordered:
        return None, None
    now = max(loop[-1] for loop in loops if loop)
    return now, ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]


def slow_callbacks_bound(process_id: UUID) -> None:
    """Remove the oldest beyond what is kept of a process and in all."""
    own = SlowCallback.objects.filter(process_id=process_id)
    for rows, most in ((own, SLOW_KEPT), (SlowCallback.objects.all(), SLOW_KEPT_IN_ALL)):
        edge = rows.order_by("-at").values_list("at", flat=True)[most : most + 1]
        if found := list(edge):
            rows.filter(at__lte=found[0]).delete()


def profiles_bound() -> None:
    """Remove the oldest profiles that have ended, beyond the last fifty."""
    ended = Profile.objects.exclude(finished_at=None).order_by("-requested_at")
    old = list(ended.values_list("pk", flat=True)[PROFILES_KEPT:])
    Profile.objects.filter(pk__in=old).delete()


def processes_forget() -> None:
    """Remove rows of processes that have been silent for a day."""
    edge = clock.now() - timedelta(seconds=FORGOTTEN_AFTER_SECONDS)
    Process.objects.filter(seen_at__lt=edge).delete()
