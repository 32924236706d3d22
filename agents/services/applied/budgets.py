"""Budgets, brought to what their documents say."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from agents.services.applied.changes import Applied
from agents.services.documents import Document
from agents.spec import document_parse
from core.errors import InvalidInputError
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.budgets import budget_list
from governance.services.budgets import budget_create, budget_update

if TYPE_CHECKING:
    from governance.models import Budget, Workspace


class _BudgetSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str
    limit_usd: Decimal
    agent: str = ""
    user: str = ""
    period: str = "month"
    time_zone: str = "UTC"
    is_enabled: bool = True


_FIXED: Final = ("kind", "agent", "user", "period", "time_zone")


def budget_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """Bring a budget to what is written; for whom it is and how long it counts is fixed."""
    access.require(actor, Perm.BUDGET_EDIT, workspace)
    spec = document_parse(_BudgetSpec, document.spec, "budget")
    note = document.description or ""
    row = budget_list(actor, workspace).filter(name=document.name).first()
    if row is None:
        made = budget_create(
            actor, workspace=workspace, name=document.name, note=note, **spec.model_dump()
        )
        return Applied(before=None, after=budget_document(made))
    before = budget_document(row)
    fixed = {name: before["spec"][name] for name in _FIXED}
    if other := [name for name, value in fixed.items() if value != getattr(spec, name)]:
        raise InvalidInputError(
            f"The {', '.join(other)} of a budget cannot change.",
            remedy="Make another budget.",
            fields={name: [f"is {fixed[name]!r} and cannot change"] for name in other},
        )
    wanted: Any = {"limit_usd": spec.limit_usd, "is_enabled": spec.is_enabled, "note": note}
    changed: Any = {name: value for name, value in wanted.items() if value != getattr(row, name)}
    if changed:
        row = budget_update(actor, budget=row, **changed)
    return Applied(before=before, after=budget_document(row))


def budget_document(row: "Budget") -> dict[str, Any]:
    """Return a budget as a document says it, description and spec."""
    return {
        "description": row.note,
        "spec": {
            "kind": row.kind,
            "limit_usd": row.limit_usd,
            "agent": row.agent_name,
            "user": row.user.username if row.user else "",
            "period": row.period,
            "time_zone": row.time_zone,
            "is_enabled": row.is_enabled,
        },
    }
