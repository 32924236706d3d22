"""The queue: its order, who sees and answers what, what is refused, and several at once."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from governance.models import Approval, ApprovalVote
from governance.services.approvals import approval_decide
from governance.services.delegations import delegation_create
from tests.factories.governance import Cast, join, make_workspace
from tests.integration.console.conftest import Browser
from tests.integration.console.queue_kit import PLACE, asked, listed, say, states

SECRET = "pineapple"


def ids(*approvals: Approval) -> list[str]:
    return [str(approval.pk) for approval in approvals]


def question(client: Client, approval: Approval) -> str:
    response = client.get(f"{PLACE}{approval.pk}/question/")
    assert response.status_code == 200
    return response.content.decode()


def many(client: Client, verdict: str, *items: tuple[Approval, str]) -> dict[str, Any]:
    body = json.dumps([{"id": str(row.pk), "seen": seen} for row, seen in items])
    answer = client.post(f"{PLACE}many/", {"verdict": verdict, "items": body})
    document: dict[str, Any] = answer.json()
    return document


def test_what_expires_soonest_comes_first_and_then_the_oldest(cast: Cast, browse: Browser) -> None:
    never_old = asked(cast.acme, minutes=None)
    late = asked(cast.acme, minutes=90)
    soon = asked(cast.acme, minutes=5)
    never_new = asked(cast.acme, minutes=None)

    assert listed(browse("approver")) == ids(soon, late, never_old, never_new)


def test_it_is_narrowed_by_agent_tool_kind_and_workspace(cast: Cast, browse: Browser) -> None:
    pay = asked(cast.acme, tool="pay", agent_name="clerk", minutes=1)
    doubt = asked(cast.acme, kind="in_doubt", choices=["happened"], tool="mail", minutes=2)
    client = browse("operator")

    assert listed(client) == ids(pay, doubt)
    assert listed(client, "?tool=pay") == listed(client, "?agent=clerk") == ids(pay)
    assert listed(client, "?kind=in_doubt") == ids(doubt)
    assert listed(client, "?workspace=acme") == ids(pay, doubt)
    assert listed(client, "?workspace=other") == listed(client, "?tool=nothing") == []


def test_for_me_holds_what_i_may_decide_and_all_the_rest_says_why_not(
    cast: Cast, browse: Browser
) -> None:
    mine = asked(cast.acme, minutes=1)
    others = asked(cast.acme, minutes=2, approvers=["role:admin"])
    own = asked(cast.acme, minutes=3, requester_id=cast.users["approver"].pk)
    doubt = asked(cast.acme, minutes=4, kind="in_doubt", choices=["happened"])
    client = browse("approver")

    assert listed(client) == ids(mine)
    assert listed(client, "?show=all") == ids(mine, others, own, doubt)
    assert "data-deeds" in question(client, mine)
    for row, sentence in (
        (others, "This is for role:admin to decide."),
        (own, "You asked for this yourself, so somebody else must decide."),
        (doubt, "Deciding takes the permission tool_call.resolve."),
    ):
        shown = question(client, row)
        assert sentence in shown
        assert "data-deeds" not in shown
        assert say(client, row)["is_done"] is False
    assert states(others, own, doubt) == ["pending"] * 3


def test_without_payload_nothing_of_what_is_asked_is_shown(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme)
    client = browse("viewer")
    places = ("", "list/?show=all", f"{row.pk}/", f"{row.pk}/question/")
    shown = [client.get(f"{PLACE}{place}").content.decode() for place in places]

    assert all(SECRET not in each for each in shown)
    assert "run.payload" in shown[-1]
    assert SECRET in question(browse("approver"), row)
    assert SECRET in browse("approver").get(f"{PLACE}list/").content.decode()
    assert listed(client) == []
    assert client.get(f"{PLACE}{row.pk}/alike/").status_code == 403
    assert say(client, row)["is_done"] is False
    tried = client.post(f"{PLACE}{row.pk}/try/", {"arguments": '{"amount": 1}'}).json()
    assert (tried["is_done"], tried["code"]) == (False, "permission_denied")
    assert many(client, "deny", (row, row.binding_digest))["outcomes"][0]["problem"]
    assert states(row) == ["pending"]


def test_other_workspaces_are_not_there(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, title="of acme")
    client = browse("outsider")

    assert listed(client, "?show=all") == []
    for place in ("", "question/", "alike/"):
        assert client.get(f"{PLACE}{row.pk}/{place}").status_code == 403
    assert client.get(f"{PLACE}list/?open={row.pk}").status_code == 403
    for place in ("decide/", "try/"):
        body = {"verdict": "deny", "seen": row.binding_digest, "arguments": "{}"}
        assert client.post(f"{PLACE}{row.pk}/{place}", body).status_code == 403
    (outcome,) = many(client, "deny", (row, row.binding_digest))["outcomes"]
    assert (outcome["title"], outcome["state"]) == ("", "")
    assert "There is no approval" in outcome["problem"]
    assert states(row) == ["pending"]
    assert browse("nobody").get(PLACE).status_code == 403
    assert Client().get(PLACE).status_code == 302


@pytest.mark.parametrize("place", ["decide/", "try/"])
def test_looking_answers_nothing(cast: Cast, browse: Browser, place: str) -> None:
    row = asked(cast.acme)
    client = browse("approver")

    assert client.get(f"{PLACE}{row.pk}/{place}").status_code == 405
    assert client.get(f"{PLACE}many/").status_code == 405
    assert states(row) == ["pending"]


def test_an_answer_is_for_what_was_seen(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme)
    client = browse("approver")
    for seen in ("", "a" * 64):
        answer = say(client, row, seen=seen, verdict="deny")
        assert (answer["is_done"], answer["code"]) == (False, "stale_state")
        assert "nothing was decided" in answer["sentence"]
    assert states(row) == ["pending"]

    done = say(client, row, verdict="deny", reason="Too much.")
    row.refresh_from_db()
    assert (done["is_done"], done["sentence"]) == (True, "Denied: charge?.")
    assert (row.state, row.reason, row.decided_by_name, row.surface) == (
        "denied",
        "Too much.",
        "approver",
        "console",
    )


def test_who_changed_the_arguments_is_named(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, quorum=2)
    seen = row.binding_digest
    Approval.objects.filter(pk=row.pk).update(
        edited_arguments={"amount": 3}, binding_digest="c" * 64
    )
    ApprovalVote.objects.create(
        approval=row, user=cast.users["admin"], verdict="approve", digest="c" * 64, at=clock.now()
    )
    client = browse("approver")

    answer = say(client, row, seen=seen)
    assert answer["is_done"] is False
    assert answer["sentence"].startswith(
        "admin has changed the arguments since you were shown it; nothing was decided."
    )
    truth = client.get(f"{PLACE}list/?open={row.pk}&seen={seen}").context["listing"].truth
    assert truth.sentence == "admin has changed the arguments since you opened it."
    assert states(row) == ["pending"]


def test_the_open_question_says_who_decided_it(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme)
    client, place = browse("approver"), f"{PLACE}list/?open={row.pk}&seen={row.binding_digest}"
    before = client.get(place)
    approval_decide(
        actor=cast.actor("admin"), approval_id=row.pk, verdict="deny", reason=f"No {SECRET}."
    )
    after = client.get(place, headers={"If-None-Match": before["ETag"]})

    assert before.context["listing"].truth.sentence == ""
    assert after.status_code == 200
    assert after.context["listing"].truth.sentence == f"admin denied it. “No {SECRET}.”"
    hidden = browse("viewer").get(place).context["listing"].truth
    assert hidden.sentence == "admin denied it."
    assert say(client, row)["sentence"].startswith("The approval is denied by admin.")
    assert listed(client, "?show=decided") == ids(row)
    assert "admin denied it" in question(client, row)


def test_a_list_without_news_is_not_sent_again(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, quorum=2)
    client = browse("approver")

    def asks(mark: str) -> tuple[int, str]:
        found = client.get(f"{PLACE}list/", headers={"If-None-Match": mark})
        return found.status_code, found.headers.get("ETag", "")

    _, first = asks("")
    assert asks(first) == (304, "")
    say(browse("operator"), row)
    status, voted = asks(first)
    assert (status, asks(voted)[0]) == (200, 304)
    asked(cast.other)
    assert asks(voted)[0] == 304
    asked(cast.acme)
    status, added = asks(voted)
    assert status == 200
    Approval.objects.filter(pk=row.pk).update(expires_at=clock.now())
    assert asks(added)[0] == 200


def test_whoever_has_agreed_is_not_asked_again(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, quorum=2)
    client = browse("approver")

    assert say(client, row)["sentence"] == "Your yes counts; others must agree: charge?."
    assert listed(client) == []
    assert "You have agreed; it waits for others (1 of 2)." in question(client, row)
    assert "1 of 2 agreed" in client.get(f"{PLACE}list/?show=all").content.decode()
    assert say(browse("operator"), row)["state"] == "approved"


def test_who_stands_for_somebody_answers_for_them(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, approvers=["user:admin"])
    client = browse("approver")
    assert listed(client) == []
    delegation_create(
        actor=cast.actor("admin"),
        workspace=cast.acme,
        delegate="approver",
        until_at=clock.now().replace(year=clock.now().year + 1, day=1),
    )

    assert listed(client) == ids(row)
    say(client, row)
    row.refresh_from_db()
    assert (row.state, row.decided_by_name) == ("approved", "approver for admin")


def test_what_is_alike_has_the_same_tool_agent_rule_and_shape(cast: Cast, browse: Browser) -> None:
    shape: dict[str, Any] = {"arguments": {"amount": 1, "to": "ann"}}
    first = asked(cast.acme, minutes=9, **shape)
    second = asked(cast.acme, minutes=1, arguments={"amount": 2.5, "to": "bob"})
    asked(cast.acme, arguments={"amount": "1", "to": "ann"})
    asked(cast.acme, arguments={"amount": 1})
    asked(cast.acme, tool="refund", **shape)
    asked(cast.acme, agent_name="clerk", **shape)
    asked(cast.acme, rule="other", **shape)
    asked(cast.other, **shape)
    asked(cast.acme, approvers=["role:admin"], **shape)
    alike = browse("approver").get(f"{PLACE}{first.pk}/alike/").context["alike"]

    assert [row.id for row in alike.rows] == [first.pk, second.pk]
    assert [(each.path, each.values) for each in alike.spreads] == [
        ("amount", (("1", 1), ("2.5", 1))),
        ("to", (('"ann"', 1), ('"bob"', 1))),
    ]
    assert [each["after"] for each in alike.rows[1].differs] == [2.5, "bob"]
    assert (alike.more, alike.others) == (0, 1)


def test_several_are_decided_each_by_itself_and_what_is_lost_is_told(
    cast: Cast, browse: Browser
) -> None:
    good, taken, changed, others = (asked(cast.acme) for _ in range(4))
    Approval.objects.filter(pk=others.pk).update(approvers=["role:admin"])
    Approval.objects.filter(pk=changed.pk).update(binding_digest="c" * 64)
    approval_decide(actor=cast.actor("admin"), approval_id=taken.pk, verdict="deny")
    items = [(row, "b" * 64) for row in (taken, changed, others, good)]
    answer = many(browse("approver"), "approve", *items)

    assert (answer["is_done"], answer["sentence"]) == (True, "1 approved, 3 not decided.")
    problems = [each["problem"] for each in answer["outcomes"]]
    assert problems[0].startswith("The approval is denied by admin")
    assert problems[1].startswith("It has changed since you were shown it")
    assert (problems[2], problems[3]) == ("This is for role:admin to decide.", "")
    assert states(good, taken, changed, others) == ["approved", "denied", "pending", "pending"]


@pytest.mark.parametrize("items", ["", "[]", "{}", '[{"id": 7, "seen": ""}]', "twice", "many"])
def test_a_list_that_is_none_answers_nothing(cast: Cast, browse: Browser, items: str) -> None:
    row = asked(cast.acme)
    one = f'{{"id": "{row.pk}", "seen": "{row.binding_digest}"}}'
    other = f'{{"id": "{cast.acme.pk}", "seen": ""}}'
    body = {"twice": f"[{one}, {one}]", "many": f"[{one}, {', '.join([other] * 200)}]"}
    given = body.get(items, items)
    answer = browse("approver").post(f"{PLACE}many/", {"verdict": "deny", "items": given}).json()

    assert (answer["is_done"], answer["code"]) == (False, "invalid_input")
    assert states(row) == ["pending"]


def test_choices_are_answered_with_one_of_them(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, kind="in_doubt", choices=["happened", "sold_out"])
    client = browse("operator")
    shown = question(client, row)

    assert 'data-choice="happened" data-key="1"' in shown
    assert "It happened" in shown
    assert "Sold out" in shown  # nobody has said what it is called
    assert 'data-deed="approve"' not in shown
    assert say(client, row)["sentence"].startswith("This is answered with one of")
    assert say(client, row, choice="never")["is_done"] is False
    alike = client.get(f"{PLACE}{row.pk}/alike/").context["alike"]
    assert alike.rows == ()
    assert states(row) == ["pending"]


def test_a_raise_of_a_budget_is_for_who_may_raise_it(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme, kind="budget_raise", tool="", arguments={"raise_by_usd": "5"})
    Approval.objects.filter(pk=row.pk).update(subject_id=row.run_id)
    client = browse("admin")
    shown = question(client, row)

    assert (listed(client), listed(browse("approver"))) == (ids(row), [])
    for part in ("Raise of a limit", "raise_by_usd", 'data-deed="approve"', 'data-deed="edit"'):
        assert part in shown
    assert "calls like it" not in shown
    assert "Deciding takes the permission budget.edit." in question(browse("approver"), row)
    tried = client.post(f"{PLACE}{row.pk}/try/", {"arguments": '{"raise_by_usd": "0.5"}'}).json()
    assert tried["changes"] == [{"path": "raise_by_usd", "before": '"5"', "after": '"0.50000000"'}]
    assert say(browse("approver"), row)["code"] == "permission_denied"
    assert states(row) == ["pending"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Write the whole new arguments as a JSON object."),
        ("[1]", "Write a JSON object: the names of arguments with their values."),
        ('{"a": 1,\n  b}', "Line 2, column 3: "),
        ('{"a": NaN}', "This is no JSON: NaN is no value of JSON."),
    ],
)
def test_arguments_that_cannot_be_read_are_told_with_their_place(
    cast: Cast, browse: Browser, text: str, sentence: str
) -> None:
    row = asked(cast.acme)
    answer = browse("approver").post(f"{PLACE}{row.pk}/try/", {"arguments": text}).json()

    assert answer["is_done"] is False
    assert answer["fields"]["arguments"][0].startswith(sentence)
    assert states(row) == ["pending"]


def test_a_question_is_linked_from_its_page_and_back(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme)
    client = browse("approver")
    page = client.get(f"/admin/governance/approval/{row.pk}/change/").content.decode()

    assert f"{PLACE}{row.pk}/" in page
    assert f"/admin/governance/approval/{row.pk}/change/" in question(client, row)
    opened = client.get(f"{PLACE}{row.pk}/?show=decided")
    assert opened.context["question"].approval.pk == row.pk
    assert listed(client, "?show=decided") == []


def test_a_thing_asked_again_is_led_to(cast: Cast, browse: Browser) -> None:
    row = asked(cast.acme)
    Approval.objects.filter(pk=row.pk).update(state="withdrawn", decided_at=clock.now())
    again = Approval.objects.get(pk=row.pk)
    again.pk, again.state, again.decided_at = None, "pending", None
    again.id = asked(cast.other).pk
    Approval.objects.filter(pk=again.id).delete()
    again.save(force_insert=True)

    assert f"{PLACE}{again.pk}/" in question(browse("approver"), row)


def test_what_the_page_costs_does_not_grow_with_the_queue(cast: Cast, browse: Browser) -> None:
    client = browse("approver")

    def cost(place: str) -> int:
        client.get(f"{PLACE}{place}")
        with CaptureQueriesContext(connection) as queries:
            client.get(f"{PLACE}{place}")
        return len(queries)

    asked(cast.acme)
    places = ("", "list/", "list/?show=all")
    asked(cast.other)
    join(cast.other, "approver", "approver")
    before = [cost(place) for place in places]
    for _ in range(5):
        asked(cast.acme)
    more = make_workspace("more")
    join(more, "approver", "approver")
    asked(more)

    assert [cost(place) for place in places] == before
    assert len(listed(client)) == 8
