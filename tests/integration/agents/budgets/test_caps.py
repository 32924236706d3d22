"""No limit is overspent, however many runs spend at once; and what is asked when it is full."""

import pytest

from agents.contracts import RunState
from agents.models import Run
from governance.contracts import Actor
from governance.models import Reservation, Workspace
from tests.integration.agents.budgets.kit import (
    CHARGE,
    NOTHING,
    budget,
    grant,
    lead_of,
    questions,
    standing,
    until_at_rest,
    watched,
)
from tests.integration.agents.execution.kit import Engine, begin, check_invariants

CHILDREN = 50


@pytest.mark.parametrize("cap", ["run", "workspace"])
def test_fifty_parallel_children_never_overspend_a_cap(
    engine: Engine, workspace: Workspace, ada: Actor, cap: str
) -> None:
    lead_of(workspace, CHILDREN)
    limits = {"max_cost_usd": "0.1"} if cap == "run" else None
    if cap == "workspace":
        budget(ada, workspace, "0.1")
    with watched() as over:
        for _ in range(2):
            engine.start(capacity=100)
        run = begin(workspace, agent="lead", limits=limits)
        engine.until(run, RunState.WAITING)
        # $0.1 less what was spent leaves less than a call may cost after 23 answers.
        until_at_rest(run, waiting=CHILDREN - 22)
        assert standing() == (23 * CHARGE, NOTHING)
        assert max(over) <= 0

        first, *others = questions()
        assert len(others) == CHILDREN - 23
        grant(ada, first, "1")
        engine.until(run)

    assert run.state == "succeeded"
    assert max(over) <= 0
    assert standing() == (52 * CHARGE, NOTHING)
    assert questions() == []
    settled = Reservation.objects.filter(state="settled")
    assert [row.charged_usd for row in settled] == [CHARGE] * 52
    assert sum(Run.objects.values_list("cost_usd", flat=True)) == 52 * CHARGE
    for row in Run.objects.all():
        check_invariants(row.pk)
