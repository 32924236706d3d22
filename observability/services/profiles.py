"""Asking processes for profiles, and having this process report itself and do its own."""

import threading
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction

from core import clock
from core.errors import InvalidInputError
from governance.contracts import Actor
from observability.errors import ProfileUnderwayError
from observability.execution.process_watch import ProcessWatch
from observability.execution.sampling import RATE
from observability.models import Profile
from observability.selectors.profiles import (
    ProfileSeen,
    process_alive,
    profile_get,
    profiling_require,
)
from observability.transitions import profiles_give_up

MAX_PROFILE_SECONDS: Final = 60
_lock = threading.Lock()
_watch: ProcessWatch | None = None


def profile_request(
    actor: Actor, *, process_id: UUID, seconds: int, with_idle: bool = False
) -> ProfileSeen:
    """Ask a process to profile itself; it sees the row within a second or two.

    Raises:
        PermissionDeniedError: The actor is no superuser.
        InvalidInputError: Not from 1 to 60 seconds.
        NotFoundError: The process is not there, or is silent.
        ProfileUnderwayError: It is being profiled already.
    """
    profiling_require(actor)
    if not 1 <= seconds <= MAX_PROFILE_SECONDS:
        sentence = f"Profile for 1 to {MAX_PROFILE_SECONDS} seconds."
        raise InvalidInputError(sentence, fields={"seconds": [sentence]})
    process = process_alive(actor, process_id)
    profiles_give_up()
    try:
        with transaction.atomic():
            profile = Profile.objects.create(
                process_id=process.pk,
                process=str(process),
                seconds=seconds,
                rate=RATE,
                with_idle=with_idle,
                requested_by=actor.username,
                requested_at=clock.now(),
            )
    except IntegrityError as error:
        raise ProfileUnderwayError(
            f"{process} is being profiled already.",
            remedy="Wait until that profile has ended, or choose another process.",
        ) from error
    return profile_get(actor, profile.pk)


def profile_delete(actor: Actor, *, profile_id: UUID) -> None:
    """Remove a profile; one that is under way comes to nothing."""
    profiling_require(actor)
    Profile.objects.filter(pk=profile_id).delete()


def process_watch_start(kind: str) -> None:
    """Begin to report this process, once; a second kind of the same process changes nothing."""
    global _watch
    with _lock:
        if _watch is None:
            _watch = ProcessWatch(kind)
            _watch.start()


def process_watch_stop() -> None:
    global _watch
    with _lock:
        watch, _watch = _watch, None
    if watch is not None:
        watch.stop()
