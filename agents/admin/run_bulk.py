"""One deed for many runs: those that were chosen, or all that a filter finds.

Each run is decided by itself through the service that everybody uses, so that one which no longer
fits is left as it is and named. All of a filter are done in batches, from the newest that there
was when it was confirmed back to the oldest: runs that come later are not touched, and none is met
twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from agents.admin.deeds import deed_do, fitting
from agents.admin.run_list import asked_of
from agents.models import Run
from agents.selectors.run_filters import RunFilters
from agents.selectors.run_finding import in_order, runs_counted, runs_found
from core.errors import DomainError, InvalidInputError
from governance.contracts import Actor, Perm

FOR_ALL: Final = ("pause", "resume", "cancel")
MAX_CHOSEN: Final = 1_000
BATCH_RUNS: Final = 25
COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A run that was left as it is, and why."""

    run_id: UUID
    agent: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    done: int
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What came of some runs, and of all so far. `after` is empty at the end."""

    outcome: Outcome
    done: int
    refused: int
    total: int
    newest: str
    after: str

    @property
    def percent(self) -> int:
        """How far it has come; runs beyond the count make it no more than full."""
        return min(100, round(100 * (self.done + self.refused) / max(self.total, 1)))


def do_each(actor: Actor, name: str, runs: Iterable[Run]) -> Outcome:
    """Do it to each run, whatever came of the others."""
    done, refused = 0, []
    for run in runs:
        try:
            deed_do(name, actor=actor, run_id=run.pk)
        except DomainError as error:
            refused.append(Refusal(run_id=run.pk, agent=run.agent_name, why=error.message))
        else:
            done += 1
    return Outcome(done=done, refused=tuple(refused))


def runs_for(actor: Actor, filters: RunFilters, name: str) -> QuerySet[Run]:
    """Return the runs of a filter that the deed fits now and the actor may do it to."""
    found = runs_found(actor, filters, perm=Perm.RUN_CONTROL)
    if found.is_bounded:
        raise InvalidInputError(
            "Too many runs hold these words to find all of them.",
            remedy="Search for another word as well, or choose a time.",
        )
    return found.runs.filter(fitting(name))


def counted(runs: QuerySet[Run]) -> tuple[int, str]:
    """Return how many there are, and in words."""
    number = runs_counted(runs, bound=COUNTED)
    return number, gettext("more than %(counted)s") % {
        "counted": f"{COUNTED:,}"
    } if number > COUNTED else f"{number:,}"


def batch(request: HttpRequest, actor: Actor, name: str) -> Batch:
    """Do the next runs of a filter.

    Raises:
        InvalidInputError: The form says no place to go on from.
    """
    filters = asked_of(request)
    runs = runs_for(actor, filters, name).filter(pk__lte=_id(request.POST.get("newest", "")))
    rows = list(in_order(runs, "newest", after=request.POST.get("after", ""))[: BATCH_RUNS + 1])
    chosen = rows[:BATCH_RUNS]
    outcome = do_each(actor, name, chosen)
    return Batch(
        outcome=outcome,
        done=_number(request.POST.get("done", "0")) + outcome.done,
        refused=_number(request.POST.get("refused", "0")) + len(outcome.refused),
        total=_number(request.POST.get("total", "0")),
        newest=request.POST.get("newest", ""),
        after=str(chosen[-1].pk) if len(rows) > BATCH_RUNS else "",
    )


def chosen_ids(request: HttpRequest, field: str) -> list[UUID]:
    """Read the runs that were chosen.

    Raises:
        InvalidInputError: One is no id, or there are too many.
    """
    given = request.POST.getlist(field)
    if len(given) > MAX_CHOSEN:
        raise InvalidInputError(
            f"At most {MAX_CHOSEN:,} runs can be chosen one by one.",
            remedy="Narrow the list by a filter, and choose all that match.",
        )
    return [_id(each) for each in given]


def confirming(actor: Actor, filters: RunFilters, name: str) -> dict[str, Any]:
    """Return what the page shows that asks before all of a filter are done."""
    runs = runs_for(actor, filters, name)
    number, words = counted(runs)
    newest = in_order(runs, "newest").values_list("pk", flat=True).first()
    return {"total": number, "words": words, "newest": newest, "parts": filters.parts()}


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInputError(
            f"{text[:40]!r} is no id of a run.", remedy="Go back to the list and choose again."
        ) from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidInputError(
            f"{text[:20]!r} is no number of runs.", remedy="Begin again from the list."
        )
    return int(text)
