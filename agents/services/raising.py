"""Answers to runs that would spend more than they may: how much more, or no more at all."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Q

from agents.contracts import RunErrorCode, RunState
from agents.doorbell import ring
from agents.execution.evidence import run_waits
from agents.models import Run
from agents.services.rulings import ruling_told
from agents.services.runs.limits import limits_of_run
from agents.transitions import run_move, run_note
from core.errors import InvalidInputError, StaleStateError
from governance.contracts import ApprovalKind, ApprovalState, Edit, Ruling
from governance.selectors.approvals import approval_binding
from governance.services.budgets import account_granted, usd_given
from observability.contracts import EventKind
from plugins.contracts import WaitKind

AMOUNT = "raise_by_usd"


class BudgetRaises:
    """The approval kind `budget_raise`; its subject is the run that waits."""

    def lock(self, *, subject_id: UUID, run_id: UUID | None) -> None:
        """Lock the run, which its owner's writes lock first too."""
        list(Run.objects.select_for_update().filter(pk=subject_id).values_list("pk"))

    def edit(self, *, subject_id: UUID, arguments: Mapping[str, Any]) -> Edit:
        """Take another amount than was asked for."""
        if set(arguments) != {AMOUNT}:
            sentence = f"Give {AMOUNT} and nothing else."
            raise InvalidInputError(sentence, fields={"arguments": [sentence]})
        amount = str(usd_given("arguments", arguments[AMOUNT]))
        return Edit(arguments={AMOUNT: amount}, facts={AMOUNT: amount})

    def alike(self, *, subject_id: UUID) -> None:
        """Money is given once; there is no standing approval of it."""

    def evidence(self, *, subject_id: UUID) -> Mapping[str, Any]:
        return {"sources": [], "waits": run_waits(Run.objects.get(pk=subject_id))}

    def decided(self, ruling: Ruling) -> None:
        """Raise the limit and wake the run, or end it.

        Others that wait for the same limit are woken when this is committed.
        """
        run = Run.objects.get(pk=ruling.subject_id)
        run_note(run=run, kind=EventKind.APPROVAL_DECIDED, payload=_told(ruling))
        if ruling.state is not ApprovalState.APPROVED:
            _end(run, ruling)
            return
        _raise(ruling)
        try:
            run_move(
                run_id=run.pk,
                target=RunState.QUEUED,
                sources={RunState.WAITING},
                where=Q(wait_kind=WaitKind.BUDGET.value),
            )
        except StaleStateError:
            return  # paused meanwhile: it finds the room when it is resumed
        transaction.on_commit(ring)

    def noted(self, ruling: Ruling, *, event: str) -> None:
        run = Run.objects.get(pk=ruling.subject_id)
        run_note(run=run, kind=EventKind.APPROVAL_NOTED, payload=_told(ruling) | {"what": event})


def _raise(ruling: Ruling) -> None:
    bound = approval_binding(ruling.approval_id)
    assert bound is not None, "it is being decided in this transaction"
    amount = usd_given("arguments", bound.facts[AMOUNT])
    account = account_granted(UUID(bound.facts["account"]), amount)
    if account is None or account.run_id is None or account.limit_usd is None:
        return
    # A run's own limit: what it shows and is claimed with is what its account says.
    holder = Run.objects.select_related("snapshot").get(pk=account.run_id)
    limits = msgspec.structs.replace(limits_of_run(holder), max_cost_usd=account.limit_usd)
    Run.objects.filter(pk=holder.pk).update(limits=msgspec.to_builtins(limits))


def _end(run: Run, ruling: Ruling) -> None:
    said = f": {ruling.reason}" if ruling.reason else "."
    run_move(
        run_id=run.pk,
        target=RunState.FAILED,
        sources={RunState.WAITING, RunState.PAUSED, RunState.QUEUED},
        reason=f"{ruling.by or 'Nobody'} did not raise what it may spend{said}",
        fields={"error_code": RunErrorCode.BUDGET_DENIED.value},
    )


def _told(ruling: Ruling) -> dict[str, Any]:
    return ruling_told(ruling) | {"about": ApprovalKind.BUDGET_RAISE.value}
