"""What people may do to a run: which deeds fit its state, what each means, and doing it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agents.contracts import Control, RunState
from agents.models import Checkpoint, Run
from agents.services.runs import run_cancel, run_fork, run_pause, run_replay, run_resume
from agents.transitions import LIVE, TERMINAL
from governance import access
from governance.contracts import Actor, Perm

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

NAMES: Final = ("pause", "resume", "cancel", "fork", "replay")

_PAUSABLE: Final = {RunState.QUEUED.value, RunState.RUNNING.value, RunState.WAITING.value}
_MAY_PAUSE: Final = {Control.NONE.value, Control.RESUME.value}
_RESUMABLE: Final = {RunState.PAUSED.value, RunState.YIELDED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a deed is called, does and needs. `is_asked` deeds are confirmed on a page first."""

    title: "StrOrPromise"
    explanation: "StrOrPromise"
    done: "StrOrPromise"
    is_asked: bool
    perms: frozenset[Perm]


MEANINGS: Final[Mapping[str, Meaning]] = {
    "pause": Meaning(
        title=_("Pause"),
        explanation=_(
            "It stops at its next step boundary and keeps everything. Nothing that has "
            "begun outside is interrupted, and it holds no worker while it is paused."
        ),
        done=_("is asked to pause; it stops at its next step boundary"),
        is_asked=False,
        perms=frozenset({Perm.RUN_CONTROL}),
    ),
    "resume": Meaning(
        title=_("Resume"),
        explanation=_(
            "It goes back to the queue and continues where it stopped. A run that stopped "
            "at a limit needs a higher one; one that has not paused yet goes on without pausing."
        ),
        done=_("goes on"),
        is_asked=False,
        perms=frozenset({Perm.RUN_CONTROL}),
    ),
    "cancel": Meaning(
        title=_("Cancel"),
        explanation=_(
            "It ends now, and so does every run it started. Tool calls that have begun "
            "outside are not undone. A cancelled run cannot be resumed; it can be forked."
        ),
        done=_("is cancelled, with everything below it"),
        is_asked=True,
        perms=frozenset({Perm.RUN_CONTROL}),
    ),
    "fork": Meaning(
        title=_("Fork"),
        explanation=_(
            "A new run starts from a checkpoint of this one. The history up to there is "
            "shared, effects are not repeated, and this run stays as it is."
        ),
        done=_("was forked"),
        is_asked=True,
        perms=frozenset({Perm.RUN_CONTROL, Perm.RUN_START}),
    ),
    "replay": Meaning(
        title=_("Replay"),
        explanation=_(
            "A new run goes through the same history with the recorded answers and "
            "outcomes. Nothing is asked of a model and nothing happens outside."
        ),
        done=_("is replayed"),
        is_asked=False,
        perms=frozenset({Perm.RUN_START}),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A button. `is_asked`: it leads to a page; otherwise it acts at once."""

    name: str
    title: str
    hint: str
    url: str
    is_asked: bool
    is_main: bool = False
    is_danger: bool = False


def deeds_for(run: Run, actor: Actor) -> tuple[Deed, ...]:
    """Return what this person may do to the run in its state, the likeliest first."""
    held = access.permissions_of(actor, run.workspace_id)
    return tuple(
        Deed(
            name=name,
            title=str(MEANINGS[name].title),
            hint=str(MEANINGS[name].explanation),
            url=reverse(f"admin:agents_run_{name}", args=[run.pk]),
            is_asked=_is_asked(name, run),
            is_main=name == "resume",
            is_danger=name == "cancel",
        )
        for name in ("resume", "pause", "fork", "replay", "cancel")
        if MEANINGS[name].perms <= held and _FITS[name](run)
    )


def deed_do(
    name: str, *, actor: Actor, run_id: UUID, answers: Mapping[str, Any] | None = None
) -> Run:
    """Do it through the service that everybody uses; return the run to look at afterwards."""
    return _DO[name](actor, run_id, answers or {})


def fitting(name: str) -> Q:
    """Return the condition for the rows that a deed for many fits; the service decides each."""
    return _FITTING[name]


def _is_asked(name: str, run: Run) -> bool:
    return MEANINGS[name].is_asked or (name == "resume" and run.state == RunState.YIELDED.value)


def _may_cancel(run: Run) -> bool:
    return run.state in LIVE and run.control != Control.CANCEL.value


_FITS: Final[Mapping[str, Callable[[Run], bool]]] = {
    "pause": lambda run: run.state in _PAUSABLE and run.control in _MAY_PAUSE,
    "resume": lambda run: run.state in _RESUMABLE or run.control == Control.PAUSE.value,
    "cancel": _may_cancel,
    "fork": lambda run: Checkpoint.objects.filter(run=run).exists(),
    "replay": lambda run: run.state in TERMINAL,
}

_FITTING: Final[Mapping[str, Q]] = {
    "pause": Q(state__in=_PAUSABLE, control__in=_MAY_PAUSE),
    "resume": Q(state__in=_RESUMABLE) | Q(control=Control.PAUSE.value),
    "cancel": Q(state__in=LIVE) & ~Q(control=Control.CANCEL.value),
}

_DO: Final[Mapping[str, Callable[[Actor, UUID, Mapping[str, Any]], Run]]] = {
    "pause": lambda actor, run_id, _: run_pause(actor=actor, run_id=run_id),
    "resume": lambda actor, run_id, answers: run_resume(
        actor=actor, run_id=run_id, limits=answers or None
    ),
    "cancel": lambda actor, run_id, answers: run_cancel(
        actor=actor, run_id=run_id, reason=answers.get("reason", "")
    ),
    "fork": lambda actor, run_id, answers: run_fork(actor=actor, run_id=run_id, **answers),
    "replay": lambda actor, run_id, _: run_replay(actor=actor, run_id=run_id),
}
