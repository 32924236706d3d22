"""A profile's moves: each one conditional update, so that of two that try only one succeeds."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from core import clock
from observability.contracts import ProfileState
from observability.models import Process, Profile

SILENT_AFTER_SECONDS: Final = 30.0
GRACE_SECONDS: Final = 60.0
UNDERWAY: Final = (ProfileState.REQUESTED.value, ProfileState.RUNNING.value)


def profile_claim(process_id: UUID) -> Profile | None:
    """Return the profile this process has been asked for and shall begin now, if there is one."""
    asked = Profile.objects.filter(process_id=process_id, state=ProfileState.REQUESTED.value)
    profile = asked.first()
    if profile is None or not asked.filter(pk=profile.pk).update(
        state=ProfileState.RUNNING.value, started_at=clock.now()
    ):
        return None
    profile.refresh_from_db()
    return profile


def profile_done(profile_id: UUID, *, stacks: bytes, samples: int) -> bool:
    """Write what was found; False when somebody gave the profile up or removed it meanwhile."""
    running = Profile.objects.filter(pk=profile_id, state=ProfileState.RUNNING.value)
    return bool(
        running.update(
            state=ProfileState.DONE.value,
            finished_at=clock.now(),
            stacks=stacks,
            samples=samples,
        )
    )


def profile_failed(profile_id: UUID, *, problem: str, remedy: str = "") -> bool:
    """Write why there is no outcome; False when the profile had ended already."""
    return bool(_fail([profile_id], problem=problem, remedy=remedy))


def profiles_give_up() -> int:
    """Fail what can have no outcome any more; returns how many.

    A process that died in the middle says nothing; its silence does.
    """
    now = clock.now()
    alive = Process.objects.filter(seen_at__gt=now - timedelta(seconds=SILENT_AFTER_SECONDS))
    underway = Profile.objects.filter(state__in=UNDERWAY)
    orphans = underway.exclude(process_id__in=alive.values("pk")).filter(
        requested_at__lt=now - timedelta(seconds=SILENT_AFTER_SECONDS)
    )
    given_up = _fail(
        orphans.values_list("pk", flat=True),
        problem="The process stopped, or was killed, before it could write its profile.",
        remedy="Look at why it ended in its log; then profile the process that took its place.",
    )
    running = underway.filter(state=ProfileState.RUNNING.value)
    late = [
        pk
        for pk, started_at, seconds in running.values_list("pk", "started_at", "seconds")
        if started_at is not None and started_at < now - timedelta(seconds=seconds + GRACE_SECONDS)
    ]
    return given_up + _fail(
        late,
        problem="The process is alive, but gave no profile in time.",
        remedy="Try again for fewer seconds; its log says what became of this one.",
    )


def _fail(profile_ids: Iterable[UUID], *, problem: str, remedy: str) -> int:
    return Profile.objects.filter(pk__in=list(profile_ids), state__in=UNDERWAY).update(
        state=ProfileState.FAILED.value,
        finished_at=clock.now(),
        problem=problem[:2000],
        remedy=remedy[:2000],
    )
