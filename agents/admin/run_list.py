"""The list of runs: what its page, and the rows that follow while one scrolls, are drawn from."""

from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from agents.contracts import RunErrorCode, RunState
from agents.models import Agent, Run
from agents.selectors.run_filters import PERIODS, SORTS, SURFACES, Part, RunFilters, filters_from
from agents.selectors.run_finding import (
    COUNTED,
    FoundRuns,
    RunsPage,
    readable_workspaces,
    runs_counted,
    runs_found,
    runs_page,
)
from agents.selectors.run_words import CHARACTERS, MANY
from agents.selectors.saved_filters import saved_filter_list
from core.admin import NOTHING, count, moment, money, pill, told
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.users import user_list
from governance.selectors.workspaces import workspace_list

MAX_CHOICES: Final = 200
_SOME_ERRORS: Final = 500
_LIST: Final = "admin:agents_run_changelist"
_STATES: Final = tuple(state.value for state in RunState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row. `excerpt` is None where the input is hidden."""

    run_id: UUID
    url: str
    agent: str
    state: SafeString
    error: str
    excerpt: str | None
    iteration: int
    tokens: str
    cost: SafeString | str
    person: str
    at: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A link that changes one thing of the list."""

    value: str
    title: str
    url: str
    is_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A saved filter as a link; `delete_url` for who may delete it."""

    name: str
    url: str
    delete_url: str
    is_on: bool
    is_shared: bool
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Some rows, where these rows are, and where the next are; both for a script and for a link."""

    lines: tuple[Line, ...]
    here_url: str
    next_url: str
    next_page_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """The page. `result_list` are the runs of its first rows; `counted` is `number` in words."""

    filters: RunFilters
    result_list: tuple[Run, ...]
    first: Lines
    number: int
    counted: str
    is_counted_fully: bool
    states: tuple[Choice, ...]
    sorts: tuple[Choice, ...]
    kept: tuple[Kept, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    query: str
    is_later: bool


def asked_of(request: HttpRequest) -> RunFilters:
    """Read the filters of an address."""
    return filters_from({name: request.GET.getlist(name) for name in request.GET})


def run_list(request: HttpRequest, actor: Actor) -> RunList:
    """Gather the page of the list that an address asks for."""
    filters, after = asked_of(request), request.GET.get("after", "")
    found = runs_found(actor, filters)
    page = runs_page(found.runs, filters.sort, after=after)
    counted = len(page.runs)
    if page.after or after:
        counted = runs_counted(found.runs)
    return RunList(
        filters=filters,
        result_list=page.runs,
        first=_lines(actor, filters, page, after=after),
        number=counted,
        counted=f"{COUNTED:,}+" if counted > COUNTED else f"{counted:,}",
        is_counted_fully=counted <= COUNTED,
        states=_states(filters),
        sorts=_choices(filters, "sort", SORTS),
        kept=_kept(actor, filters),
        parts=filters.parts(),
        notes=_notes(actor, filters, found),
        query=filters.query(),
        is_later=bool(after),
    )


def more_lines(request: HttpRequest, actor: Actor) -> Lines:
    """Gather the rows after those that are shown already."""
    filters, after = asked_of(request), request.GET.get("after", "")
    page = runs_page(runs_found(actor, filters).runs, filters.sort, after=after)
    return _lines(actor, filters, page, after=after)


def choices(actor: Actor, filters: RunFilters) -> dict[str, Any]:
    """Return what the form of the filters offers."""
    visible = access.permitted_workspace_ids(actor, Perm.RUN_VIEW)
    agents = access.scope(actor, Perm.RUN_VIEW, Agent.objects.order_by("name"))
    codes = runs_found(actor, RunFilters()).runs.exclude(error_code="").order_by("error_code")
    return {
        "agents": list(agents.values_list("name", flat=True).distinct()[:MAX_CHOICES]),
        "workspaces": list(
            workspace_list(actor)
            .filter(pk__in=visible)
            .order_by("name")
            .values_list("name", flat=True)[:MAX_CHOICES]
        ),
        "people": list(
            user_list(actor).order_by("username").values_list("username", flat=True)[:MAX_CHOICES]
        ),
        "errors": sorted(
            {code.value for code in RunErrorCode}
            | set(codes.values_list("error_code", flat=True)[:_SOME_ERRORS])
        ),
        "periods": [(value, title) for value, (title, _) in PERIODS.items()],
        "surfaces": SURFACES,
        "used": sum(part.name not in {"q", "state"} for part in filters.parts()),
    }


def _lines(actor: Actor, filters: RunFilters, page: RunsPage, *, after: str) -> Lines:
    readable = readable_workspaces(actor, page.runs)
    asked = {run.requested_by_id for run in page.runs if run.requested_by_id is not None}
    people = dict(user_list(actor).filter(pk__in=asked).values_list("pk", "username"))
    rows, shown = reverse("admin:agents_run_rows"), reverse(_LIST)
    return Lines(
        lines=tuple(_line(run, readable, people) for run in page.runs),
        here_url=_address(rows, filters, after),
        next_url=_address(rows, filters, page.after) if page.after else "",
        next_page_url=_address(shown, filters, page.after) if page.after else "",
    )


def _address(place: str, filters: RunFilters, after: str) -> str:
    pairs = [*filters.pairs(), *([("after", after)] if after else [])]
    return f"{place}?{urlencode(pairs)}"


def _line(run: Run, readable: frozenset[UUID], people: dict[UUID, str]) -> Line:
    text: str = run.excerpt  # type: ignore[attr-defined]  # annotated by runs_page
    return Line(
        run_id=run.pk,
        url=reverse("admin:agents_run_change", args=[run.pk]),
        agent=run.agent_name,
        state=pill(run.state),
        error=run.error_code,
        excerpt=" ".join(text.split()) if run.workspace_id in readable else None,
        iteration=run.iteration,
        tokens=count(run.input_tokens + run.output_tokens),
        cost=money(run.cost_usd, is_partial=run.cost_is_partial),
        person=people.get(run.requested_by_id, NOTHING) if run.requested_by_id else NOTHING,
        at=moment(run.created_at),
    )


def _states(filters: RunFilters) -> tuple[Choice, ...]:
    """Each state as a switch: its link adds it to those asked for, or takes it away."""

    def switched(state: str) -> RunFilters:
        chosen = set(filters.state) ^ {state}
        return replace(filters, state=tuple(each for each in _STATES if each in chosen))

    return tuple(
        Choice(
            value=state,
            title=told(state),
            url=f"?{switched(state).query()}",
            is_on=state in filters.state,
        )
        for state in _STATES
    )


def _choices(filters: RunFilters, name: str, known: Any) -> tuple[Choice, ...]:
    return tuple(
        Choice(
            value=value,
            title=str(title),
            url=f"?{replace(filters, **{name: value}).query()}",
            is_on=getattr(filters, name) == value,
        )
        for value, title in known.items()
    )


def _kept(actor: Actor, filters: RunFilters) -> tuple[Kept, ...]:
    now = filters.query()
    rows = saved_filter_list(actor=actor).select_related("owner")[:MAX_CHOICES]
    return tuple(
        Kept(
            name=row.name,
            url=f"{reverse(_LIST)}?{row.query}",
            delete_url=(
                reverse("admin:agents_savedfilter_delete", args=[row.pk])
                if row.owner_id == actor.user_id
                else ""
            ),
            is_on=row.query == now,
            is_shared=row.is_shared,
            owner=row.owner.username,
        )
        for row in rows
    )


def _notes(actor: Actor, filters: RunFilters, found: FoundRuns) -> tuple[str, ...]:
    """Say what the list leaves out that one would not expect."""
    notes = list(filters.problems)
    if found.is_bounded:
        notes.append(
            gettext(
                "More than %(many)s runs hold these words; these are the newest of them. "
                "Another word, or a time, finds older ones."
            )
            % {"many": f"{MANY:,}"}
        )
    if filters.sort in {"costliest", "cheapest"}:
        notes.append(gettext("Runs under way are left out: what they cost is not final."))
    if filters.q and not access.permitted_workspace_ids(actor, Perm.RUN_PAYLOAD).exists():
        notes.append(
            gettext(
                "Inputs and outputs were not searched: reading them takes the permission "
                "run.payload."
            )
        )
    return tuple(notes)


def searched() -> str:
    """Say what words are looked for in."""
    return gettext(
        "Agent, the beginning of an id, or words of the first %(n)s characters of input or output"
    ) % {"n": f"{CHARACTERS:,}"}
