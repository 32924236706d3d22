"""Budgets: setting them, raising them, and taking them away."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from core.errors import InvalidInputError
from core.events import DomainEvent, publish
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.budgets import LARGEST_USD, dollars, zone_of
from governance.contracts import (
    Actor,
    AuditAction,
    AuditSubject,
    BudgetKind,
    BudgetPeriod,
    Perm,
)
from governance.errors import NameTakenError
from governance.models import Budget, BudgetAccount, Membership, User, Workspace
from governance.models.workspace import NAME_PATTERN
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_learn
from governance.services.spending import account_now
from governance.services.workspaces import workspace_lock
from governance.transitions import account_raise

MAX_NOTE_CHARS = 2_000
SMALLEST_USD = Decimal("0.00000001")


class BudgetFields(TypedDict, total=False):
    limit_usd: Decimal
    is_enabled: bool
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRaised(DomainEvent):
    """There may be room again: a limit was raised, changed, switched off or taken away."""

    workspace_id: UUID


def budget_create(
    actor: Actor,
    *,
    workspace: Workspace,
    name: str,
    kind: str,
    limit_usd: Decimal,
    agent: str = "",
    user: str = "",
    period: str = BudgetPeriod.MONTH.value,
    time_zone: str = "UTC",
    is_enabled: bool = True,
    note: str = "",
) -> Budget:
    """Set a budget. It counts what is asked from now on.

    Raises:
        NameTakenError: The workspace has a budget of this name.
        InvalidInputError: Something given does not fit.
    """
    access.require(actor, Perm.BUDGET_EDIT, workspace)
    _named("name", name)
    row = Budget(
        workspace=workspace,
        name=name,
        kind=_one_of(BudgetKind, "kind", kind),
        period=_one_of(BudgetPeriod, "period", period),
        time_zone=_zone(time_zone),
        created_by_name=actor.username,
    )
    row.agent_name, row.user = _whose(row, agent, user)
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)
        if Budget.objects.filter(workspace=workspace, name=name).exists():
            raise NameTakenError(f"There is a budget {name!r} already.", remedy="Use another name.")
        return _written(
            actor, row, {"limit_usd": limit_usd, "is_enabled": is_enabled, "note": note}, "set"
        )


def budget_update(actor: Actor, *, budget: Budget, **fields: Unpack[BudgetFields]) -> Budget:
    """Change the limit, the switch or the note. Another limit holds at once, in place of what the
    current period was raised to; runs that wait for room go on where there is some."""
    access.require(actor, Perm.BUDGET_EDIT, budget.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Budget.objects.select_for_update().get(pk=budget.pk)
        return _written(actor, row, fields, "changed")


def budget_raise(actor: Actor, *, budget: Budget, by_usd: Decimal, reason: str = "") -> Budget:
    """Give the current period of a budget more; of two who raise at once both count."""
    access.require(actor, Perm.BUDGET_EDIT, budget.workspace_id)
    amount = usd_given("by_usd", by_usd)
    secrets_learn([budget.workspace_id])
    said = redact_text(reason.strip())[:MAX_NOTE_CHARS]
    with recorded_as(actor), transaction.atomic():
        row = Budget.objects.select_for_update().get(pk=budget.pk)
        reach("budget.before_raise")
        account = account_now(row)
        if not account_raise(account.pk, amount):
            raise _too_much("by_usd")
        _record(actor, row, "raised", {"by_usd": dollars(amount), "reason": said})
        publish(BudgetRaised(workspace_id=row.workspace_id))
    return row


def budget_delete(actor: Actor, *, budget: Budget) -> None:
    """Take a budget away, with what was counted against it."""
    access.require(actor, Perm.BUDGET_EDIT, budget.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Budget.objects.select_for_update().get(pk=budget.pk)
        workspace_id = row.workspace_id
        subject = _subject(row)
        row.delete()
        audit_append(
            actor,
            action=AuditAction.BUDGET_CHANGED,
            workspace_id=workspace_id,
            subject=subject,
            payload={"what": "deleted"},
        )
        publish(BudgetRaised(workspace_id=workspace_id))


def account_granted(account_id: UUID, by_usd: Decimal) -> BudgetAccount | None:
    """Raise a limit as an approval allows, in the deciding transaction; None: the limit is gone.

    Raises:
        InvalidInputError: It would be more than a limit can be.
    """
    is_raised = account_raise(account_id, by_usd)
    row = BudgetAccount.objects.filter(pk=account_id).first()
    if row is not None:
        if not is_raised and row.limit_usd is not None:
            raise _too_much("arguments")
        publish(BudgetRaised(workspace_id=row.workspace_id))
    return row


def usd_given(field: str, given: object) -> Decimal:
    """Return an amount somebody wrote, with at most eight places.

    Raises:
        InvalidInputError: It is none, or not above zero.
    """
    try:
        usd = Decimal(str(given)).quantize(SMALLEST_USD)
    except InvalidOperation:
        raise _wrong(field, f"{str(given)[:40]!r} is no amount of dollars.") from None
    if not usd.is_finite() or not SMALLEST_USD <= usd < LARGEST_USD:
        raise _wrong(field, f"Give dollars above 0 and below {LARGEST_USD}.")
    return usd


def _written(actor: Actor, row: Budget, fields: BudgetFields, what: str) -> Budget:
    is_limited = "limit_usd" in fields
    if is_limited:
        row.limit_usd = usd_given("limit_usd", fields["limit_usd"])
    row.is_enabled = fields.get("is_enabled", row.is_enabled)
    if "note" in fields:
        secrets_learn([row.workspace_id])
        row.note = redact_text(fields["note"].strip())[:MAX_NOTE_CHARS]
    row.changed_by_name = actor.username
    row.save()
    if is_limited:
        account = account_now(row)
        BudgetAccount.objects.filter(pk=account.pk).update(limit_usd=row.limit_usd)
    _record(actor, row, what, {"limit_usd": dollars(row.limit_usd), "is_enabled": row.is_enabled})
    publish(BudgetRaised(workspace_id=row.workspace_id))
    return row


def _whose(row: Budget, agent: str, user: str) -> tuple[str, User | None]:
    """Return the agent or the member a budget is for; it names what its kind says and no more."""
    is_agent = row.kind == BudgetKind.AGENT.value
    is_user = row.kind == BudgetKind.USER.value
    if bool(agent) != is_agent:
        raise _wrong("agent", "Name the agent of a budget for an agent, and of no other.")
    if bool(user) != is_user:
        raise _wrong("user", "Name the member of a budget for a user, and of no other.")
    if is_agent:
        _named("agent", agent)
    if not is_user:
        return agent, None
    found = Membership.objects.filter(workspace_id=row.workspace_id, user__username=user)
    member = found.select_related("user").first()
    if member is None:
        raise _wrong("user", f"{user[:80]!r} is no member of this workspace.")
    return "", member.user


def _named(field: str, given: str) -> None:
    try:
        NAME_PATTERN(given)
    except ValidationError as error:
        raise _wrong(field, error.messages[0]) from None


def _one_of(kinds: type[BudgetKind] | type[BudgetPeriod], field: str, given: str) -> str:
    if given not in list(kinds):
        raise _wrong(field, f"Choose one of: {', '.join(kinds)}.")
    return given


def _zone(name: str) -> str:
    try:
        zone_of(name)
    except ValueError as error:
        raise _wrong("time_zone", f"{error} Give one such as Europe/Prague.") from None
    return name


def _subject(row: Budget) -> AuditSubject:
    return AuditSubject(kind="budget", id=str(row.pk), label=row.name)


def _record(actor: Actor, row: Budget, what: str, more: Mapping[str, Any]) -> None:
    audit_append(
        actor,
        action=AuditAction.BUDGET_CHANGED,
        workspace_id=row.workspace_id,
        subject=_subject(row),
        payload={"what": what, "whose": row.whose, "period": row.period, **more},
    )


def _too_much(field: str) -> InvalidInputError:
    return _wrong(field, f"A limit is {dollars(LARGEST_USD)} at most, with what it was raised by.")


def _wrong(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: [sentence]})
