"""The cost page: amounts, heat, who spent, copies to take away, and who may look."""

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.urls import reverse

from agents.models import Run
from agents.selectors import cost
from core.errors import PermissionDeniedError, UnavailableError
from governance.contracts import SYSTEM
from governance.models import Role, User
from governance.services.members import membership_set_roles
from observability.models import UsageHour
from observability.selectors import usage
from observability.selectors.usage import hours_back
from tests.factories.agents import make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

PAGE = "/admin/cost/"


def used(cast: Cast, *, hours: int = 0, is_other: bool = False, **fields: Any) -> None:
    known = {
        "agent": "helper", "model": "small", "provider": "script", "calls": 2,
        "user": str(cast.users["operator"].pk), "input_tokens": 1_000, "output_tokens": 500,
        "cache_read_tokens": 250, "cost_usd": Decimal("0.5"),
    }  # fmt: skip
    workspace = cast.other if is_other else cast.acme
    UsageHour.objects.create(
        workspace_id=workspace.pk, hour=hours_back(hours), **{**known, **fields}
    )


def unknown(cast: Cast, **fields: Any) -> None:
    used(cast, cost_usd=Decimal(0), unknown_calls=2, unknown_input_tokens=1_000,
         unknown_output_tokens=500, **fields)  # fmt: skip


def words(html: str) -> str:
    text = re.sub(r"<[^>]+>", " ", html).replace("&#x27;", "'").replace("\u202f", "")
    return " ".join(text.split())


def shown(browse: Browser, name: str, query: str = "", path: str = PAGE) -> str:
    response = browse(name).get(f"{path}?{query}")
    assert response.status_code == 200
    return str(response.content.decode())


def test_amounts_are_told_with_what_is_not_known_of_them(cast: Cast, browse: Browser) -> None:
    used(cast)
    used(cast, hours=24 * 8, cost_usd=Decimal(1))
    unknown(cast, agent="writer", model="odd")

    told = words(shown(browse, "viewer"))

    assert "Last 7 days ≥ $0.5000 50% less than the 7 days before" in told
    assert [told.count(f"{title} ") for title in ("Last 7 days", "This month")] == [1, 1]
    assert "No known price 50% 2 of 4 calls" in told
    assert (
        "2 of 4 calls (1500 tokens) were answered by models whose price nobody knows"
        in told.replace("\u202f", "")
    )
    assert "budgets count $0.0525 for the rest" in told
    assert "the average of the last 8 complete days (UTC)" in told
    assert "helper $0.5000 100% 2" in told
    assert "odd script unknown – 2" in told


def test_heat_has_a_number_and_a_sentence_in_each_cell(cast: Cast, browse: Browser) -> None:
    used(cast)
    used(cast, agent="writer", model="big", cost_usd=Decimal("0.02"))
    unknown(cast, agent="odd", model="odd")

    page = shown(browse, "viewer", "period=24h")
    cells = re.findall(r'<td class="heat-(\d)" title="([^"]+)" data-cell[^>]*>([^<]*)</td>', page)

    assert [(level, text) for level, _, text in cells if text] == [
        *(("5", "50¢"), ("1", "2¢"), ("0", "?")),  # by agent
        *(("5", "50¢"), ("1", "2¢"), ("0", "?")),  # by model
    ]
    assert any(
        title.endswith("$0.5000, 2 calls, 1,000 tokens in (250 cached), 500 out")
        for _, title, _ in cells
    )
    assert any("cost unknown, 2 calls" in title for _, title, _ in cells)
    tokens = shown(browse, "viewer", "period=24h&measure=tokens")
    assert re.findall(r'<td class="heat-5"[^>]*>([^<]+)</td>', tokens) == ["1.5k"] * 6
    assert page.count('tabindex="0">') >= 2


def test_an_address_can_be_shared_and_says_what_it_cannot_show(cast: Cast, browse: Browser) -> None:
    used(cast)
    used(cast, is_other=True, agent="secret-agent", cost_usd=Decimal(7))

    both = shown(browse, "root", "period=30d")
    one = shown(browse, "root", "period=30d&workspace=acme")
    wrong = words(shown(browse, "viewer", "period=1y&workspace=other"))

    assert "secret-agent" in both
    assert "secret-agent" not in one
    assert '<a href="?period=24h&amp;measure=cost&amp;workspace=acme">24 hours</a>' in one
    assert "'1y' is no period you can choose" in wrong
    assert "'other' is no workspace you can choose" in wrong
    assert "secret-agent" not in wrong


def test_the_dearest_runs_lead_to_their_pages(cast: Cast, browse: Browser) -> None:
    used(cast)
    cheap, dear, free = (make_run(cast.acme) for _ in range(3))
    Run.objects.filter(pk=dear.pk).update(cost_usd=Decimal("3.5"))
    Run.objects.filter(pk=cheap.pk).update(cost_usd=Decimal("0.25"), cost_is_partial=True)

    page = shown(browse, "viewer")

    links = re.findall(r'<a href="(/admin/agents/run/[^"?]+/change/)">', page)
    assert links == [reverse("admin:agents_run_change", args=[run.pk]) for run in (dear, cheap)]
    assert str(free.pk) not in page
    assert "agent=helper&amp;within=7d&amp;sort=costliest" in page
    assert "user=operator&amp;within=7d" in page
    assert f"{reverse('admin:agents_model_changelist')}?q=small" in page


def test_what_is_written_in_names_stays_text(cast: Cast, browse: Browser) -> None:
    used(cast, model="<script>alert(1)</script>")

    assert "<script>alert(1)" not in shown(browse, "viewer")


def test_an_empty_page_teaches_and_an_empty_time_says_so(cast: Cast, browse: Browser) -> None:
    assert "No model has been paid for yet" in shown(browse, "viewer")

    used(cast, hours=24 * 3)
    page = shown(browse, "viewer", "period=24h")
    assert "Nothing was used in this time" in page
    assert "This month" in page


def test_a_copy_has_every_digit_and_no_formula(cast: Cast, browse: Browser) -> None:
    used(cast, cost_usd=Decimal("0.00000001"), model="=SUM(A1)")
    unknown(cast, agent="odd", user="")
    used(cast, is_other=True)
    client = browse("viewer")

    table = client.get(f"{PAGE}cost.csv?period=7d&workspace=acme")
    rows = list(csv.DictReader(io.StringIO(table.getvalue().decode())))
    document = json.loads(client.get(f"{PAGE}cost.json?period=24h").getvalue())

    assert table["Content-Disposition"] == 'attachment; filename="cost-acme-7d.csv"'
    assert [
        (
            row["workspace"],
            row["agent"],
            row["model"],
            row["user"],
            row["cost_usd"],
            row["is_floor"],
        )
        for row in rows
    ] == [
        ("acme", "helper", "'=SUM(A1)", "operator", "0.00000001", "False"),
        ("acme", "odd", "small", "", "0.00000000", "True"),
    ]
    assert next(iter(rows[0])) == "day"
    assert [row["model"] for row in document["rows"]] == ["=SUM(A1)", "small"]
    assert (document["period"], document["counted_until"]) == ("24h", None)


def test_a_copy_is_read_as_it_is_sent_by_an_asynchronous_server(cast: Cast) -> None:
    used(cast)
    client: Any = AsyncClient()
    client.force_login(User.objects.get(username="root"))

    async def read() -> bytes:
        answer = await client.get(f"{PAGE}cost.csv?period=7d")
        return b"".join([part async for part in answer])

    assert async_to_sync(read)().decode().startswith("day,workspace,agent,model")


def test_copies_are_read_a_day_at_a_time(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours in range(0, 30 * 24, 7):
        used(cast, hours=hours, agent=f"agent-{hours % 3}")
    read: list[int] = []
    step = cost._step

    def counted(*args: Any) -> cost.CostStep:
        found = step(*args)
        read.append(len(found.rows))
        return found

    monkeypatch.setattr(cost, "_step", counted)
    table = browse("viewer").get(f"{PAGE}cost.csv?period=30d")
    assert len(read) <= 1  # the rest is read as it is sent

    rows = list(csv.DictReader(io.StringIO(table.getvalue().decode())))
    assert (len(read), sum(read), max(read)) == (31, len(rows), 3)
    assert sum(int(row["calls"]) for row in rows) == 2 * len(range(0, 30 * 24, 7))
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    document = json.loads(browse("viewer").get(f"{PAGE}cost.json?period=30d").getvalue())
    assert [row["calls"] for row in document["rows"]] == [int(row["calls"]) for row in rows]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_copy_ends_where_the_right_to_it_does(cast: Cast, browse: Browser, form: str) -> None:
    for days in range(6):
        used(cast, hours=24 * days, agent=f"agent-{days}")
    answer = browse("viewer").get(f"{PAGE}cost.{form}?period=7d")
    content = iter(answer)
    got = [next(content)]

    membership_set_roles(SYSTEM, membership=cast.members["viewer"], roles=[])
    with pytest.raises(PermissionDeniedError):
        got += content

    assert b"agent-5" in b"".join(got)  # the oldest day, read before
    assert b"agent-0" not in b"".join(got)


def test_what_cannot_be_read_is_an_error_and_no_file(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*args: Any) -> cost.CostStep:
        raise UnavailableError("Usage is being added up faster than it can be read.")

    monkeypatch.setattr(cost, "_step", busy)
    client = browse("viewer")
    client.raise_request_exception = False

    assert client.get(f"{PAGE}cost.csv?period=7d").status_code == 503


def test_the_part_that_is_renewed_has_the_figures_alone(cast: Cast, browse: Browser) -> None:
    used(cast)
    part = shown(browse, "viewer", "period=7d", path=f"{PAGE}part/")

    assert "$0.5000" in part
    assert "<html" not in part


def test_who_may_not_see_what_was_spent_sees_no_page(cast: Cast, browse: Browser) -> None:
    used(cast)
    addresses = [PAGE, f"{PAGE}part/", f"{PAGE}cost.csv", f"{PAGE}cost.json"]

    assert [browse("nobody").get(each).status_code for each in addresses] == [403] * 4
    assert PAGE not in browse("nobody").get("/admin/").content.decode()
    assert "helper" not in shown(browse, "outsider")


def test_who_may_see_no_runs_sees_sums_and_no_run(cast: Cast, browse: Browser) -> None:
    used(cast)
    run = make_run(cast.acme)
    Run.objects.filter(pk=run.pk).update(cost_usd=Decimal(3))
    role = Role.objects.create(
        workspace=cast.acme, name="controller", permissions=["workspace.view", "budget.view"]
    )
    membership_set_roles(SYSTEM, membership=cast.members["viewer"], roles=[role.name])
    page = shown(browse, "viewer")

    assert "$0.5000" in page
    assert str(run.pk) not in page
    assert "/admin/agents/run/" not in page
    assert "/admin/agents/model/" not in page


@pytest.mark.parametrize("name", ["cost.csv", "cost.json"])
def test_a_copy_that_cannot_be_made_now_says_so(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    used(cast)
    monkeypatch.setattr(usage, "_TRIES", 0)  # it was folded each time

    answer = browse("viewer").get(f"{PAGE}{name}")

    assert (answer.status_code, answer["Content-Type"]) == (503, "text/plain")
    assert "Ask again in a moment." in answer.content.decode()
