"""What every journal writer owes money: an answer and what it cost are one commit, or none."""

from decimal import Decimal

from agents.journal.journal import Journal
from agents.journal.records import Committed, Lost, SpendingRow
from agents.models import Run
from core import clock
from core.ids import new_id
from governance.models import BudgetAccount, Reservation, Workspace
from tests.conformance.journal.kit import entry, footprint, running, together

HELD = Decimal("0.10000000")


def account(workspace: Workspace, reserved: str = "0.3") -> BudgetAccount:
    return BudgetAccount.objects.create(
        workspace=workspace,
        run_id=new_id(),
        starts_at=clock.now(),
        limit_usd=1,
        reserved_usd=Decimal(reserved),
    )


def reserved(run: Run, *accounts: BudgetAccount, place: int = 0, fence: int = 1) -> Reservation:
    return Reservation.objects.create(
        workspace_id=run.workspace_id,
        run_id=run.pk,
        place=place,
        fence=fence,
        accounts=[str(each.pk) for each in accounts],
        reserved_usd=HELD,
        created_at=clock.now(),
    )


def row(held: Reservation, *accounts: BudgetAccount, charged: str | None) -> SpendingRow:
    return SpendingRow(
        id=held.pk,
        reserved_usd=held.reserved_usd,
        charged_usd=None if charged is None else Decimal(charged),
        accounts=tuple(each.pk for each in accounts),
        at=clock.now(),
    )


def standing(*accounts: BudgetAccount) -> list[tuple[str, str]]:
    found = [BudgetAccount.objects.get(pk=each.pk) for each in accounts]
    return [(f"{each.reserved_usd:.8f}", f"{each.spent_usd:.8f}") for each in found]


def test_an_answer_is_settled_in_every_account_exactly(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace)
    wide, narrow = account(workspace), account(workspace, "0.1")
    held = reserved(run, wide, narrow)
    spent = row(held, wide, narrow, charged="0.07000001")

    assert isinstance(journal.submit(entry(run, spending=(spent,))).result(), Committed)

    assert standing(wide, narrow) == [("0.20000000", "0.07000001"), ("0.00000000", "0.07000001")]
    held.refresh_from_db()
    assert (held.state, held.charged_usd) == ("settled", Decimal("0.07000001"))
    assert held.settled_at is not None


def test_what_nobody_answered_is_given_back(journal: Journal, workspace: Workspace) -> None:
    run, kept = running(workspace), account(workspace)
    held = reserved(run, kept)
    journal.submit(entry(run, state="paused", spending=(row(held, kept, charged=None),))).result()

    assert standing(kept) == [("0.20000000", "0.00000000")]
    held.refresh_from_db()
    assert (held.state, held.charged_usd) == ("released", None)


def test_settling_twice_counts_once(journal: Journal, workspace: Workspace) -> None:
    run, kept = running(workspace), account(workspace)
    spent = row(reserved(run, kept), kept, charged="0.05")
    for _ in range(2):
        journal.submit(entry(run, spending=(spent,))).result()

    assert standing(kept) == [("0.20000000", "0.05000000")]


def test_a_stale_owner_settles_nothing(journal: Journal, workspace: Workspace) -> None:
    run, kept = running(workspace), account(workspace)
    held = reserved(run, kept)
    before = footprint(run.pk)
    late = entry(run, fence=0, spending=(row(held, kept, charged="0.05"),))

    assert isinstance(journal.submit(late).result(), Lost)

    assert (footprint(run.pk), standing(kept)) == (before, [("0.30000000", "0.00000000")])


def test_a_newer_reservation_of_the_call_is_not_settled_by_the_older_claim(
    journal: Journal, workspace: Workspace
) -> None:
    run, kept = running(workspace), account(workspace)
    held = reserved(run, kept, fence=2)
    journal.submit(entry(run, spending=(row(held, kept, charged="0.05"),))).result()

    assert standing(kept) == [("0.30000000", "0.00000000")]


def test_settlements_of_one_batch_add_up(journal: Journal, workspace: Workspace) -> None:
    kept = account(workspace)
    runs = [running(workspace) for _ in range(3)]
    rows = [row(reserved(run, kept), kept, charged="0.01") for run in runs]
    pairs = zip(runs, rows, strict=True)
    for future in together(journal, *(entry(run, spending=(each,)) for run, each in pairs)):
        future.result()

    assert standing(kept) == [("0.00000000", "0.03000000")]
