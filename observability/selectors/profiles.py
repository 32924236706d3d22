"""Processes, profiles and slow callbacks: the site's own, so only superusers see them."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Count

from core import clock
from core.errors import NotFoundError, PermissionDeniedError
from governance.contracts import Actor
from observability.models import Process, Profile, SlowCallback
from observability.transitions import SILENT_AFTER_SECONDS, UNDERWAY

_SHOWN_AFTER_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSeen:
    """A server process as it last reported itself. Lags are None where no loop is watched."""

    id: UUID
    name: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    is_alive: bool
    lag_seconds: float | None
    lag_p99_seconds: float | None
    slow_callbacks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSeen:
    """A profile without its stacks."""

    id: UUID
    process: str
    state: str
    is_underway: bool
    seconds: int
    rate: int
    with_idle: bool
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    samples: int
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowSeen:
    at: datetime
    process: str
    seconds: float
    where: str
    stack: tuple[str, ...]


def profiling_is_open_to(actor: Actor) -> bool:
    """Say whether the actor may look at processes and profile them.

    A profile tells of every workspace's work at once. A token narrowed to a workspace or to
    permissions is not enough.
    """
    return actor.is_superuser and actor.workspace_id is None and actor.scopes is None


def profiling_require(actor: Actor) -> None:
    """Raises PermissionDeniedError for everybody but superusers."""
    if not profiling_is_open_to(actor):
        raise PermissionDeniedError(
            "Processes and their profiles are for superusers: they tell of all workspaces.",
            remedy="Ask somebody who runs this site.",
        )


def processes_seen(actor: Actor) -> list[ProcessSeen]:
    """Return the processes heard of in the last ten minutes, by kind and host."""
    profiling_require(actor)
    since = clock.now() - timedelta(seconds=_SHOWN_AFTER_SECONDS)
    found = list(Process.objects.filter(seen_at__gt=since))
    slow = dict(
        SlowCallback.objects.filter(process_id__in=[process.pk for process in found])
        .order_by()
        .values_list("process_id")
        .annotate(Count("pk"))
    )
    return [
        ProcessSeen(
            id=process.pk,
            name=str(process),
            kind=process.kind,
            host=process.host,
            pid=process.pid,
            version=process.version,
            started_at=process.started_at,
            seen_at=process.seen_at,
            is_alive=_is_alive(process),
            lag_seconds=process.lag_seconds,
            lag_p99_seconds=process.lag_p99_seconds,
            slow_callbacks=slow.get(process.pk, 0),
        )
        for process in found
    ]


def process_alive(actor: Actor, process_id: UUID) -> Process:
    """Return a process that answers.

    Raises:
        NotFoundError: It is not there, or is silent.
    """
    profiling_require(actor)
    process = Process.objects.filter(pk=process_id).first()
    if process is None or not _is_alive(process):
        raise NotFoundError(
            "This process has not been heard of lately.",
            remedy="Load the page again and choose one that is alive.",
        )
    return process


def profiles_seen(actor: Actor) -> list[ProfileSeen]:
    """Return all profiles that are kept, newest first."""
    profiling_require(actor)
    return [_seen(profile) for profile in Profile.objects.defer("stacks")]


def profile_get(actor: Actor, profile_id: UUID) -> ProfileSeen:
    """Return one profile.

    Raises:
        NotFoundError: It was removed, or never was.
    """
    profiling_require(actor)
    found = Profile.objects.defer("stacks").filter(pk=profile_id).first()
    if found is None:
        raise NotFoundError(
            "There is no such profile.", remedy="The last fifty are kept; take a new one."
        )
    return _seen(found)


def profile_stacks(actor: Actor, profile_id: UUID) -> str:
    """Return the collapsed stacks of a profile that has some.

    Raises:
        NotFoundError: There is no such profile, or it has no outcome.
    """
    profiling_require(actor)
    packed = Profile.objects.filter(pk=profile_id).values_list("stacks", flat=True).first()
    if packed is None:
        raise NotFoundError(
            "This profile has no stacks.", remedy="Wait until it is done, or take a new one."
        )
    return gzip.decompress(bytes(packed)).decode(errors="replace")


def slow_callbacks_seen(actor: Actor, *, most: int) -> list[SlowSeen]:
    """Return callbacks that held an event loop up, newest first."""
    profiling_require(actor)
    return [
        SlowSeen(
            at=slow.at,
            process=slow.process,
            seconds=slow.seconds,
            where=slow.where,
            stack=tuple(slow.stack),
        )
        for slow in SlowCallback.objects.all()[:most]
    ]


def speedscope_document(stacks: str, *, name: str, rate: int) -> str:
    """Return stacks as a file of speedscope: one profile a thread, a weight a stack."""
    frames: dict[str, int] = {}
    threads: dict[str, tuple[list[list[int]], list[float]]] = {}
    for thread, path, count in _parsed(stacks):
        samples, weights = threads.setdefault(thread, ([], []))
        samples.append([frames.setdefault(frame, len(frames)) for frame in path])
        weights.append(count / rate)
    profiles: list[dict[str, Any]] = [
        {
            "type": "sampled", "name": thread, "unit": "seconds",
            "startValue": 0, "endValue": sum(weights), "samples": samples, "weights": weights,
        }
        for thread, (samples, weights) in threads.items()
    ]  # fmt: skip
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": "agentry-cloud",
            "name": name,
            "shared": {"frames": [{"name": frame} for frame in frames]},
            "profiles": profiles,
        }
    )


def _is_alive(process: Process) -> bool:
    return process.seen_at > clock.now() - timedelta(seconds=SILENT_AFTER_SECONDS)


def _seen(profile: Profile) -> ProfileSeen:
    return ProfileSeen(
        id=profile.pk,
        process=profile.process,
        state=profile.state,
        is_underway=profile.state in UNDERWAY,
        seconds=profile.seconds,
        rate=profile.rate,
        with_idle=profile.with_idle,
        requested_by=profile.requested_by,
        requested_at=profile.requested_at,
        started_at=profile.started_at,
        samples=profile.samples,
        problem=profile.problem,
        remedy=profile.remedy,
    )


def _parsed(stacks: str) -> Iterator[tuple[str, list[str], int]]:
    for line in stacks.splitlines():
        path, _, number = line.rpartition(" ")
        if not number.isdigit():
            continue
        thread, *frames = path.split(";")
        yield thread, frames or [thread], int(number)
