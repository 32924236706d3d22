"""What an address of the cost page asks for: period, workspace, and what is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.selectors.cost import Period

SPANS = {Period.DAY: _("24 hours"), Period.WEEK: _("7 days"), Period.MONTH: _("30 days")}


class Measure(StrEnum):
    COST = "cost"
    TOKENS = "tokens"

    @property
    def word(self) -> str:
        return gettext("cost") if self is Measure.COST else gettext("tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`workspace` is a name, empty for all that are permitted; `problems` are sentences."""

    period: Period
    measure: Measure
    workspace: str
    permitted: tuple[tuple[UUID, str], ...]
    problems: tuple[str, ...]

    @property
    def workspace_ids(self) -> list[UUID]:
        return [key for key, name in self.permitted if self.workspace in {"", name}]

    @property
    def names(self) -> dict[UUID, str]:
        return dict(self.permitted)

    @property
    def slug(self) -> str:
        return "-".join(part for part in (self.workspace, self.period.value) if part)

    def query(self, **changed: str) -> dict[str, str]:
        """Return the parameters of this page's address with some changed; empty ones left out."""
        found = {"period": self.period.value, "measure": self.measure.value,
                 "workspace": self.workspace} | changed  # fmt: skip
        return {name: value for name, value in found.items() if value}


def asked_of(given: Mapping[str, str], permitted: Sequence[Any]) -> Asked:
    """Read an address; what it names that is not there is said, and left out."""
    problems: list[str] = []

    def choice(name: str, known: Sequence[str], default: str) -> str:
        value = given.get(name, default)
        if value in known:
            return value
        problems.append(
            gettext("%(value)s is no %(name)s you can choose; this shows another.")
            % {"value": repr(value[:40]), "name": name}
        )
        return default

    return Asked(
        period=Period(choice("period", list(Period), Period.WEEK.value)),
        measure=Measure(choice("measure", list(Measure), Measure.COST.value)),
        workspace=choice("workspace", ["", *(each.name for each in permitted)], ""),
        permitted=tuple((each.pk, each.name) for each in permitted),
        problems=tuple(problems),
    )
