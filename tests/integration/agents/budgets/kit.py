"""Agents whose every answer has a price, budgets for them, and what stands in the accounts.

A call may cost a cent at most (ten tokens of a tenth of a cent) and costs four tenths of one.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from agents.models import Run
from core import pausepoints
from core.ids import new_id
from governance.contracts import Actor, ApprovalState
from governance.models import Approval, Budget, BudgetAccount, Reservation, Workspace
from governance.services.approvals import approval_decide
from governance.services.budgets import budget_create
from governance.services.spending import ModelCall
from tests.factories.agents import make_agent, make_model, make_provider
from tests.waiting import wait_for

AT_MOST = Decimal("0.01")
CHARGE = Decimal("0.004")
NOTHING = Decimal(0)
ANSWER = "steps: [{text: Done., usage: {input_tokens: 3, output_tokens: 4}}]"
AGAIN = """
steps:
  - tool_calls: [{name: echo, arguments: {text: again}}]
    usage: {input_tokens: 3, output_tokens: 4}
    repeat: forever
"""


def priced_agent(
    workspace: Workspace, name: str = "helper", script: str = ANSWER, **spec: Any
) -> None:
    make_provider(workspace, f"p-{name}", script=script)
    make_model(
        workspace,
        f"m-{name}",
        provider=f"p-{name}",
        vendor_name=f"v-{name}",
        input_price_usd="0",
        output_price_usd="1000",
    )
    options = {"max_output_tokens": 10}
    make_agent(workspace, name, **{"model": f"m-{name}", "options": options, **spec})


def lead_of(workspace: Workspace, children: int) -> None:
    """An agent that asks `helper` so many times at once, and answers when all have."""
    call = "{name: agent, arguments: {agent: helper, input: do it}}"
    calls = ", ".join([call] * children)
    usage = "usage: {input_tokens: 3, output_tokens: 4}"
    script = f"steps: [{{tool_calls: [{calls}], {usage}}}, {{text: All done., {usage}}}]"
    priced_agent(workspace)
    priced_agent(workspace, "lead", script, delegates=["helper"])


def budget(actor: Actor, workspace: Workspace, usd: str, name: str = "all", **more: Any) -> Budget:
    fields = {"kind": "workspace", "period": "total", **more}
    return budget_create(actor, workspace=workspace, name=name, limit_usd=Decimal(usd), **fields)


def a_call(workspace: Workspace, **changes: Any) -> ModelCall:
    """A model call of a run of its own, which may cost a cent."""
    call = ModelCall(
        workspace_id=workspace.pk,
        run_id=new_id(),
        place=0,
        fence=1,
        agent="helper",
        user_id=None,
        payers=(),
        model="m",
        usd=AT_MOST,
    )
    return dataclasses.replace(call, **changes)


def standing(**where: Any) -> tuple[Decimal, Decimal]:
    """What is spent and what is set aside in one account."""
    return BudgetAccount.objects.values_list("spent_usd", "reserved_usd").get(**where)


def reservations(run: Run) -> list[tuple[int, str, Decimal | None]]:
    rows = Reservation.objects.filter(run_id=run.pk).order_by("place")
    return list(rows.values_list("place", "state", "charged_usd"))


def questions() -> list[Approval]:
    """What is asked now about budgets, the oldest first."""
    pending = ApprovalState.PENDING.value
    return list(Approval.objects.filter(kind="budget_raise", state=pending).order_by("pk"))


def grant(actor: Actor, approval: Approval, usd: str | None = None) -> Approval:
    arguments = None if usd is None else {"raise_by_usd": usd}
    return approval_decide(
        actor=actor, approval_id=approval.pk, verdict="approve", arguments=arguments
    )


def until_at_rest(root: Run, *, waiting: int) -> None:
    """Wait until so many runs of a tree wait for money and no other is under way."""

    def states() -> list[tuple[str, str]]:
        rows = Run.objects.filter(root_id=root.root_id)
        return list(rows.values_list("state", "wait_kind"))

    def is_at_rest() -> bool:
        now = states()
        moving = [state for state, _ in now if state in {"queued", "running"}]
        return not moving and now.count(("waiting", "budget")) == waiting

    wait_for(is_at_rest, lambda: f"{states()}", seconds=60)


@contextmanager
def watched() -> Iterator[list[Decimal]]:
    """Note by how much any account is over its limit, each time something was set aside."""
    over: list[Decimal] = []

    def look() -> None:
        for row in BudgetAccount.objects.exclude(limit_usd=None):
            assert row.limit_usd is not None
            over.append(row.spent_usd + row.reserved_usd - row.limit_usd)

    with pausepoints.at("budget.after_commit", look):
        yield over
