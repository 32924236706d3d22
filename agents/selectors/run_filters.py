"""The filters of lists of runs: read from an address, said in words, and put to the database.

Every filter is one field of `RunFilters`; its name is the parameter of the address. A value that
means nothing is named in `problems` and left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode
from uuid import UUID

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.contracts import RunState

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SURFACES: Final = ("api", "console", "agent", "fork", "replay", "legacy")
PERIODS: Final["Mapping[str, tuple[StrOrPromise, timedelta]]"] = {
    "1h": (_("last hour"), timedelta(hours=1)),
    "24h": (_("last 24 hours"), timedelta(hours=24)),
    "7d": (_("last 7 days"), timedelta(days=7)),
    "30d": (_("last 30 days"), timedelta(days=30)),
}
SORTS: Final["Mapping[str, StrOrPromise]"] = {
    "newest": _("newest first"),
    "oldest": _("oldest first"),
    "costliest": _("costliest first"),
    "cheapest": _("cheapest first"),
}
BY_COST: Final = frozenset({"costliest", "cheapest"})
MAX_CHARACTERS: Final = 200
BEYOND_COST: Final = 10**8  # dollars, what a column of them holds

# Addresses of Django's own lists, which others link to.
_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "state": ("state__exact", "state__in"),
    "agent": ("agent__id__exact",),
    "session": ("session__id__exact",),
    "workspace": ("workspace__id__exact",),
    "error": ("error_code", "error_code__exact"),
}
_ALIASES: Final = {alias: name for name, aliases in _ALSO.items() for alias in aliases}
_NOT_FILTERS: Final = frozenset({"after", "format", "saved", "action", "_changelist_filters", "_"})
_TITLES: Final["Mapping[str, StrOrPromise]"] = {
    "q": _("search"),
    "state": _("state"),
    "agent": _("agent"),
    "workspace": _("workspace"),
    "user": _("by"),
    "cost_min": _("cost from"),
    "cost_max": _("cost up to"),
    "within": _("time"),
    "since": _("since"),
    "until": _("until"),
    "error": _("error"),
    "surface": _("by way of"),
    "session": _("session"),
    "parent": _("children of"),
    "sort": _("sorted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One filter in use: in words, and the query that is left without it."""

    name: str
    title: str
    value: str
    without: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilters:
    """What somebody asks of a list of runs. `agent` is a name or an id, `user` a username."""

    q: str = ""
    state: tuple[str, ...] = ()
    agent: str = ""
    workspace: str = ""
    user: str = ""
    cost_min: Decimal | None = None
    cost_max: Decimal | None = None
    within: str = ""
    since: datetime | None = None
    until: datetime | None = None
    error: str = ""
    surface: str = ""
    session: UUID | None = None
    parent: UUID | None = None
    sort: str = "newest"
    problems: tuple[str, ...] = field(default=())

    def pairs(self) -> list[tuple[str, str]]:
        """Return what an address says of these filters, in a fixed order."""
        found = []
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "problems" or value == each.default or value is None:
                continue
            found += [(each.name, _written(one)) for one in _each(value)]
        return found

    def query(self) -> str:
        return urlencode(self.pairs())

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out of the list."""
        return any(name != "sort" for name, _ in self.pairs()) or bool(self.problems)

    def parts(self) -> tuple[Part, ...]:
        """Return the filters in use, each with the query without it; the order is not one."""
        pairs = self.pairs()
        return tuple(
            Part(
                name=name,
                title=str(_TITLES[name]),
                value=_in_words(name, value),
                without=urlencode([pair for pair in pairs if pair != (name, value)]),
            )
            for name, value in pairs
            if name != "sort"
        )

    def beginning(self, now: datetime) -> datetime | None:
        """Return the earliest moment that is asked for, of the two ways to say it."""
        if self.within:
            moment = now - PERIODS[self.within][1]
            return moment if self.since is None else max(moment, self.since)
        return self.since


def _in_words(name: str, value: str) -> str:
    if name == "within":
        return str(PERIODS[value][0])
    words = value.replace("_", " ")
    return gettext(words) if name in {"state", "surface"} else words


def filters_from(given: Mapping[str, Sequence[str]]) -> RunFilters:
    """Read filters from the parameters of an address, as lists of values by name."""
    known = {each.name for each in fields(RunFilters)} - {"problems"}
    values: dict[str, list[str]] = {}
    problems = []
    for name, items in given.items():
        target = _ALIASES.get(name, name)
        said = [item.strip() for value in items for item in _split(name, value) if item.strip()]
        if target in known:
            values.setdefault(target, []).extend(said)
        elif target not in _NOT_FILTERS and said:
            problems.append(f"There is no filter {name[:40]!r}; it was left out.")
    found: dict[str, object] = {}
    for name, items in values.items():
        if not items:
            continue
        try:
            found[name] = _read(name, items)
        except ValueError as error:
            problems.append(f"{_TITLES[name].capitalize()}: {error}; it was left out.")
    return RunFilters(**found, problems=tuple(problems))  # type: ignore[arg-type]  # read by name


def _split(name: str, value: str) -> list[str]:
    return value.split(",") if name in {"state", "state__in"} else [value]


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else (value,)


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read(name: str, items: list[str]) -> object:
    if name == "state":
        states = tuple(dict.fromkeys(items))
        unknown = set(states) - {state.value for state in RunState}
        if unknown:
            raise ValueError(f"there is no state {min(unknown)[:40]!r}")
        return states
    text = items[-1][:MAX_CHARACTERS]
    if "\x00" in text:
        raise ValueError("NUL is in no text that is looked through")
    choices = {"within": PERIODS, "sort": SORTS, "surface": SURFACES}.get(name)
    if choices is not None and text not in choices:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(choices)}")
    if name in {"cost_min", "cost_max"}:
        return _amount(text)
    if name in {"since", "until"}:
        return _moment(text)
    if name in {"session", "parent"}:
        return _identifier(text)
    return text


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no amount of dollars") from None
    if not amount.is_finite() or not 0 <= amount < BEYOND_COST:
        raise ValueError(f"{text[:40]!r} is no amount from 0 to 99999999 dollars")
    return amount


def _moment(text: str) -> datetime:
    try:
        found = parse_datetime(text)
        if found is not None:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # said below, as for what is no moment at all
    raise ValueError(f"{text[:40]!r} is no moment such as 2026-11-22T14:30")


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no id") from None
