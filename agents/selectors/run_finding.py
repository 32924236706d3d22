"""Runs that filters ask for: scoped to the actor, a page at a time, with counts that stay cheap.

Pages go on after a run (its id, and its cost where that is the order), never by number: a page
deep in the list costs what the first one does, and no run is met twice while new ones arrive.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Substr

from agents.models import Agent, Run
from agents.selectors.run_filters import BEYOND_COST, BY_COST, RunFilters
from agents.selectors.run_words import runs_with_words, words_of
from agents.transitions import LIVE
from core import clock
from core.errors import InvalidInputError
from core.ids import first_id_at
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.users import user_list
from governance.selectors.workspaces import workspace_list

PAGE_RUNS: Final = 50
COUNTED: Final = 1_000  # beyond it a count says "more"
EXCERPT_CHARACTERS: Final = 140

_FEW_WORKSPACES: Final = 50
_ID_DIGITS: Final = re.compile(r"[0-9a-f]{6,32}")
_SHOWN: Final = (
    "id", "workspace_id", "agent_name", "state", "wait_kind", "control", "error_code", "iteration",
    "input_tokens", "output_tokens", "cost_usd", "cost_is_partial", "created_at", "started_at",
    "finished_at", "surface", "requested_by_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """Runs that fit, unordered. `is_bounded`: only the newest of very many with these words."""

    runs: QuerySet[Run]
    is_bounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """Some runs of a list, and where the next ones begin; no `after` at the end."""

    runs: tuple[Run, ...]
    after: str


def runs_found(actor: Actor, filters: RunFilters, *, perm: Perm = Perm.RUN_VIEW) -> FoundRuns:
    """Return the runs the actor may see (or, with another `perm`, treat so) that fit."""
    runs = _in_workspaces(actor, perm).order_by()
    if filters.state:
        runs = runs.filter(state__in=filters.state)
    if filters.workspace:
        runs = runs.filter(workspace_id__in=_workspace_ids(actor, filters.workspace))
    if filters.agent:
        runs = runs.filter(_of_agent(actor, filters.agent))
    if filters.user:
        people = user_list(actor).filter(username=filters.user).values_list("pk", flat=True)
        runs = runs.filter(requested_by_id__in=list(people))
    if filters.error:
        # Said twice for the index, which has only runs with a code.
        runs = runs.exclude(error_code="").filter(error_code=filters.error)
    if filters.surface:
        runs = runs.filter(surface=filters.surface)
    if filters.session is not None:
        runs = runs.filter(session_id=filters.session)
    if filters.parent is not None:
        runs = runs.filter(parent_id=filters.parent)
    runs = _in_time(runs, filters)
    runs = _costing(runs, filters)
    return _searched(actor, runs, filters.q) if filters.q else FoundRuns(runs=runs)


def runs_page(
    runs: QuerySet[Run], sort: str, *, after: str = "", size: int = PAGE_RUNS
) -> RunsPage:
    """Return the next runs in the order, as rows with the beginning of their input only.

    Raises:
        InvalidInputError: `after` is not what a page before this one said.
    """
    ordered = in_order(runs, sort, after=after)
    rows = list(
        ordered.only(*_SHOWN).annotate(excerpt=Substr("input", 1, EXCERPT_CHARACTERS))[: size + 1]
    )
    shown = tuple(rows[:size])
    return RunsPage(runs=shown, after=mark_of(shown[-1], sort) if len(rows) > size else "")


def in_order(runs: QuerySet[Run], sort: str, *, after: str = "") -> QuerySet[Run]:
    """Return the runs in the order, those after the mark only.

    Runs that have not ended have no final cost, and are left out where cost is the order.
    """
    is_rising = sort in {"oldest", "cheapest"}
    step = "gt" if is_rising else "lt"
    sign = "" if is_rising else "-"
    if sort not in BY_COST:
        if after:
            runs = runs.filter(**{f"pk__{step}": _mark(after)[1]})
        return runs.order_by(f"{sign}pk")
    runs = runs.filter(ended_cost_usd__isnull=False)
    if after:
        cost, run_id = _mark(after)
        further = Q(**{f"ended_cost_usd__{step}": cost}) | Q(
            **{"ended_cost_usd": cost, f"pk__{step}": run_id}
        )
        runs = runs.filter(further, **{f"ended_cost_usd__{step}e": cost})
    return runs.order_by(f"{sign}ended_cost_usd", f"{sign}pk")


def mark_of(run: Run, sort: str) -> str:
    """Return what names the place of a run in the order."""
    return f"{run.cost_usd}_{run.pk}" if sort in BY_COST else str(run.pk)


def runs_counted(runs: QuerySet[Run], *, bound: int = COUNTED) -> int:
    """Count runs, up to one more than `bound`: what says that there are more costs no more."""
    return runs.order_by().values("pk")[: bound + 1].count()


def readable_workspaces(actor: Actor, runs: Collection[Run]) -> frozenset[UUID]:
    """Return the workspaces of these runs whose inputs and outputs the actor may read."""
    return access.payload_workspaces(actor, (run.workspace_id for run in runs))


def _in_workspaces(actor: Actor, perm: Perm) -> QuerySet[Run]:
    """Scope by a list of ids where they are few: plans are made for it, not for a subquery."""
    scoped = access.scope(actor, perm, Run.objects.all())  # also refuses who has no lists
    ids = list(access.permitted_workspace_ids(actor, perm)[: _FEW_WORKSPACES + 1])
    return Run.objects.filter(workspace_id__in=ids) if len(ids) <= _FEW_WORKSPACES else scoped


def _workspace_ids(actor: Actor, name: str) -> list[UUID]:
    known = Q(name=name)
    if (identifier := _uuid(name)) is not None:
        known |= Q(pk=identifier)
    visible = access.permitted_workspace_ids(actor, Perm.RUN_VIEW)
    return list(workspace_list(actor).filter(known, pk__in=visible).values_list("pk", flat=True))


def _of_agent(actor: Actor, name: str) -> Q:
    """Runs of an agent, by its name or id; also of one that is gone, whose name the run keeps."""
    agents = access.scope(actor, Perm.RUN_VIEW, Agent.objects.all())
    if (identifier := _uuid(name)) is not None:
        return Q(agent_id__in=list(agents.filter(pk=identifier).values_list("pk", flat=True)))
    return _of_agents(
        list(agents.filter(name=name).values_list("pk", flat=True)), Q(agent_name=name)
    )


def _of_agents(agent_ids: list[UUID], is_named: Q) -> Q:
    return Q(agent_id__in=agent_ids) | (Q(agent__isnull=True) & is_named)


def _in_time(runs: QuerySet[Run], filters: RunFilters) -> QuerySet[Run]:
    """Narrow by the moment in the id, which is when the run was made."""
    if (since := filters.beginning(clock.now())) is not None:
        runs = runs.filter(pk__gte=first_id_at(since.timestamp()))
    if filters.until is not None:
        runs = runs.filter(pk__lt=first_id_at(filters.until.timestamp()))
    return runs


def _costing(runs: QuerySet[Run], filters: RunFilters) -> QuerySet[Run]:
    """Narrow by cost: what ended by its index, what is under way by what it has cost so far."""
    bounds = {"gte": filters.cost_min, "lte": filters.cost_max}
    asked = {step: amount for step, amount in bounds.items() if amount is not None}
    if not asked:
        return runs
    ended = Q(**{f"ended_cost_usd__{step}": amount for step, amount in asked.items()})
    so_far = Q(**{f"cost_usd__{step}": amount for step, amount in asked.items()})
    return runs.filter(ended | (Q(ended_cost_usd__isnull=True, state__in=LIVE) & so_far))


def _searched(actor: Actor, runs: QuerySet[Run], text: str) -> FoundRuns:
    """Runs by the beginning of their id, else by their agent's name or by words they hold.

    Words are looked for only where the actor may read them: a search must not tell what a page
    would hide.
    """
    digits = text.strip().lower().replace("-", "")
    if _ID_DIGITS.fullmatch(digits):
        first, last = (UUID(digits.ljust(32, end)) for end in "0f")
        by_id = runs.filter(pk__gte=first, pk__lte=last)
        if by_id.exists():
            return FoundRuns(runs=by_id)
    agents = access.scope(actor, Perm.RUN_VIEW, Agent.objects.filter(name__icontains=text))
    is_named = _of_agents(list(agents.values_list("pk", flat=True)), Q(agent_name__icontains=text))
    readable = list(access.permitted_workspace_ids(actor, Perm.RUN_PAYLOAD))
    worded, is_bounded = runs_with_words(runs, words_of(text), readable)
    if runs.filter(is_named).exists():
        either = Q(pk__in=worded.values("pk")) | is_named
        return FoundRuns(runs=runs.filter(either), is_bounded=is_bounded)
    return FoundRuns(runs=worded, is_bounded=is_bounded)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _mark(after: str) -> tuple[Decimal, UUID]:
    cost, _, run_id = after.rpartition("_")
    try:
        amount, place = Decimal(cost or 0), UUID(run_id)
    except (InvalidOperation, ValueError):
        amount, place = Decimal("NaN"), UUID(int=0)
    if not amount.is_finite() or not 0 <= amount < BEYOND_COST:
        raise InvalidInputError(
            "The address names no place in the list.", remedy="Open the list from its beginning."
        )
    return amount, place
