"""Pages of policies: the draft, past calls put to it, publishing what was looked at, the shadow."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentry_site.console import time_machine
from core import clock
from core.ids import new_id
from governance.models import Policy, PolicyDifference, PolicyVersion, User, Workspace
from governance.services.policies import draft_digest, policy_publish, policy_put
from plugins.contracts import CallState, EffectClass
from plugins.dispatch import arguments_digest
from plugins.models import ToolCall
from tests.factories.agents import make_run
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

ALLOW = "version: 1\nrules:\n  - {name: fine, tools: ['*'], effect: allow}\n"
DENY = "version: 1\nrules:\n  - {name: never, tools: [pay], effect: deny, reason: Not here.}\n"
CASES = """
cases:
  - name: paying is free
    input: {tool: {name: pay}}
    expect: allow
"""


def drafted(cast: Cast, source: str = DENY, cases: str = "") -> Policy:
    return policy_put(cast.actor("admin"), workspace=cast.acme, source=source, cases=cases)


def address(policy: Policy, name: str = "change") -> str:
    return reverse(f"admin:governance_policy_{name}", args=[policy.pk])


def called(workspace: Workspace, tool: str = "pay", **fields: Any) -> ToolCall:
    """Write down a call that a policy was asked about."""
    run = make_run(workspace)
    given: dict[str, Any] = {"arguments": {"amount": 7}, "sandbox": "none"} | fields
    question = {
        "subject": {"user": "ada"},
        "workspace": workspace.name,
        "agent": {"name": "buyer", "version": "1"},
        "tool": {"name": tool, "effect": "irreversible", "sandbox": given["sandbox"]},
        "hosts": [],
    }
    return ToolCall.objects.create(
        id=new_id(), workspace_id=workspace.pk, run_id=run.pk, position=1, index=0,
        provider_call_id="call_1", tool=tool, effect=EffectClass.IRREVERSIBLE.value,
        state=CallState.COMMITTED.value, arguments=given["arguments"],
        arguments_digest=arguments_digest(given["arguments"]), planned_at=clock.now(),
        decision={"is_allowed": True, "rule": "fine", "question": question},
    )  # fmt: skip


def batch(client: Client, policy: Policy, so_far: str = "", days: str = "7") -> Any:
    url = reverse("admin:policy_try_batch", args=[policy.pk])
    return client.post(url, {"days": days, "so_far": so_far})


def figures(answer: Any) -> dict[str, str]:
    return {figure.change: figure.value for figure in answer.context["figures"]}


# --- the page of a policy -------------------------------------------------------------------------


def test_a_policys_page_says_what_stands_and_what_the_draft_changes(
    cast: Cast, browse: Browser
) -> None:
    policy = drafted(cast, ALLOW)
    policy_publish(cast.actor("admin"), workspace=cast.acme, note="Open house.")
    drafted(cast, DENY)

    answer = browse("admin").get(address(policy))

    page = answer.context["policy"]
    assert (page.active.number, page.is_published, page.shadow) == (1, False, None)
    assert [line.sign for line in page.difference if line.sign in "+-"] == ["-", "+"]
    shown = answer.content.decode()
    assert "Open house." in shown
    assert address(policy, "publish") in shown
    assert reverse("admin:policy_try", args=[policy.pk]) in shown


def test_who_may_not_publish_reads_why(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast)
    author = browse("author")

    shown = author.get(address(policy)).content.decode()

    assert "publishing takes <code>policy.publish</code>, which you do not have in acme" in shown
    assert "The role admin has it." in shown
    assert address(policy, "publish") not in shown
    assert "<textarea" not in shown
    assert "Not here." in shown
    assert author.get(address(policy, "publish")).status_code == 403
    assert author.post(address(policy), {"draft": ALLOW, "language": "matrix"}).status_code == 403
    policy.refresh_from_db()
    assert policy.draft == DENY


def test_a_draft_that_is_no_policy_keeps_what_was_written_and_names_the_place(
    cast: Cast, browse: Browser
) -> None:
    policy = drafted(cast)

    answer = browse("admin").post(
        address(policy), {"language": "matrix", "draft": "version: 1\nrulez: []", "cases": ""}
    )

    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert "rulez" in str(errors["draft"])
    assert "rulez: []" in answer.content.decode()
    policy.refresh_from_db()
    assert policy.draft == DENY


def test_mistakes_in_test_cases_stand_by_the_test_cases(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast)

    answer = browse("admin").post(
        address(policy), {"language": "matrix", "draft": DENY, "cases": "cases: [{expect: maybe}]"}
    )

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors


def test_test_cases_are_run_when_asked(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast, DENY, CASES)
    viewer = browse("viewer")

    assert viewer.get(address(policy)).context["cases"] is None
    answer = viewer.get(address(policy), {"cases": "run"})

    cases = answer.context["cases"]
    assert (cases.count, len(cases.failures)) == (1, 1)
    assert "paying is free: effect is &#x27;deny&#x27;" in answer.content.decode()


def test_a_workspace_without_a_policy_is_taught_what_one_is(cast: Cast, browse: Browser) -> None:
    shown = browse("admin").get(reverse("admin:governance_policy_changelist")).content.decode()

    assert "the built-in rule decides about tool calls" in shown
    assert reverse("admin:governance_policy_add") in shown


def test_the_first_policy_begins_with_an_example_that_can_be_saved(
    cast: Cast, browse: Browser
) -> None:
    admin = browse("admin")
    url = reverse("admin:governance_policy_add")
    first = admin.get(url).context["adminform"].form["draft"].value()

    made = admin.post(
        url, {"workspace": str(cast.acme.pk), "language": "matrix", "draft": first, "cases": ""}
    )

    assert made.status_code == 302
    assert Policy.objects.get().draft.strip() == first.strip()


# --- the time machine -----------------------------------------------------------------------------


def test_past_calls_are_put_to_the_draft_with_examples_that_lead_to_the_call(
    cast: Cast, browse: Browser
) -> None:
    admin = cast.actor("admin")
    policy = drafted(cast, ALLOW)
    policy_publish(admin, workspace=cast.acme)
    drafted(cast, DENY)
    call = called(cast.acme)
    called(cast.other)

    answer = batch(browse("author"), policy)

    assert figures(answer) == {
        "newly_blocked": "1", "newly_asked": "0", "newly_free": "0", "unchanged": "0",
    }  # fmt: skip
    assert answer.context["next"] == ""
    shown = answer.content.decode()
    assert reverse("admin:plugins_toolcall_change", args=[call.pk]) in shown
    assert reverse("admin:agents_run_change", args=[call.run_id]) in shown
    assert "Not here." in shown
    assert "&quot;amount&quot;: 7" in shown
    assert ToolCall.objects.get(pk=call.pk).state == "committed"


def test_batches_add_up_until_all_was_looked_at(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_machine, "BATCH_CALLS", 2)
    monkeypatch.setattr(time_machine, "EXAMPLES", 2)
    policy = drafted(cast, ALLOW)
    policy_publish(cast.actor("admin"), workspace=cast.acme)
    drafted(cast, DENY)
    for _ in range(3):
        called(cast.acme)
    client = browse("operator")

    first = batch(client, policy)
    second = batch(client, policy, first.context["next"])

    assert (figures(first)["newly_blocked"], len(first.context["examples"])) == ("2", 2)
    assert "<progress" in first.content.decode()
    assert (figures(second)["newly_blocked"], len(second.context["examples"])) == ("3", 0)
    assert (second.context["next"], second.context["so_far"].looked_at) == ("", 3)
    assert [(rule.name, rule.count) for rule in second.context["rules"]] == [("never", 3)]
    assert "all of the last 7 days" in second.content.decode()


def test_a_draft_that_changes_meanwhile_is_said(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_machine, "BATCH_CALLS", 1)
    policy = drafted(cast)
    called(cast.acme)
    called(cast.acme)
    client = browse("admin")
    first = batch(client, policy)
    drafted(cast, ALLOW)

    second = batch(client, policy, first.context["next"])

    assert "was changed while calls were looked at" in second.context["problem"]
    assert "figures" not in second.context


def test_what_was_counted_for_one_person_is_of_no_use_to_another(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_machine, "BATCH_CALLS", 1)
    policy = drafted(cast)
    called(cast.acme)
    note = batch(browse("admin"), policy).context["next"]

    for so_far in (note, note[:-2] + "xx", "nonsense"):
        answer = batch(browse("operator"), policy, so_far)
        assert "cannot be gone on from" in answer.context["problem"]


def test_who_may_not_see_arguments_tries_nothing_and_reads_why(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast, ALLOW)
    policy_publish(cast.actor("admin"), workspace=cast.acme)
    drafted(cast, DENY)
    called(cast.acme, arguments={"amount": 7, "to": "the board"})
    viewer = browse("viewer")
    trying = reverse("admin:policy_try", args=[policy.pk])

    refused = batch(viewer, policy)
    page = viewer.get(address(policy)).content.decode()

    assert (refused.status_code, viewer.get(trying).status_code) == (403, 403)
    assert "the board" not in refused.content.decode()
    assert "takes <code>run.view</code> and <code>run.payload</code>" in page
    assert trying not in page


def test_a_call_without_a_sandbox_is_marked(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast, ALLOW)
    policy_publish(cast.actor("admin"), workspace=cast.acme)
    drafted(cast, DENY)
    called(cast.acme, sandbox="disabled")

    assert "is-unprotected" in batch(browse("operator"), policy).content.decode()


@pytest.mark.parametrize("days", ["0", "91", "many", "-1", ""])
def test_days_that_cannot_be_looked_back_are_refused_with_a_sentence(
    cast: Cast, browse: Browser, days: str
) -> None:
    policy = drafted(cast)
    client = browse("admin")

    assert "Choose from 1 to 90 days." in batch(client, policy, days=days).context["problem"]
    page = client.get(reverse("admin:policy_try", args=[policy.pk]), {"days": days})
    assert "Choose from 1 to 90 days." in page.content.decode()
    assert "data-time-machine" not in page.content.decode()


def test_a_time_without_calls_says_what_to_do(cast: Cast, browse: Browser) -> None:
    shown = batch(browse("operator"), drafted(cast)).content.decode()

    assert "No calls in this time" in shown


@pytest.mark.parametrize("name", ["outsider", "nobody"])
def test_nobody_from_elsewhere_tries_or_publishes(cast: Cast, browse: Browser, name: str) -> None:
    policy = drafted(cast)
    client = browse(name)

    assert batch(client, policy).status_code == 403
    assert client.get(reverse("admin:policy_try", args=[policy.pk])).status_code == 403
    body = {"mode": "in_force", "seen": draft_digest(policy)}
    for page in ("publish", "end_shadow"):
        assert client.post(address(policy, page), body).status_code == 403
    assert PolicyVersion.objects.count() == 0


# --- publishing -----------------------------------------------------------------------------------


def test_publishing_shows_first_what_changes(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast, DENY, CASES)

    shown = browse("admin").get(address(policy, "publish")).content.decode()

    assert "1 of 1 test cases fail." in shown
    assert reverse("admin:policy_try_batch", args=[policy.pk]) in shown
    assert "Not here." in shown
    assert "do not hold any more" in shown
    assert PolicyVersion.objects.count() == 0


def test_what_was_shown_is_published(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast)
    body = {"mode": "in_force", "note": "Money stays.", "seen": draft_digest(policy)}

    answer = browse("admin").post(address(policy, "publish"), body)

    assert (answer.status_code, answer["Location"]) == (302, address(policy))
    version = PolicyVersion.objects.get()
    assert (version.is_active, version.is_shadow, version.note) == (True, False, "Money stays.")


def test_a_draft_that_somebody_changed_meanwhile_is_not_published(
    cast: Cast, browse: Browser
) -> None:
    policy = drafted(cast)
    seen = draft_digest(policy)
    drafted(cast, ALLOW)
    admin = browse("admin")

    answer = admin.post(address(policy, "publish"), {"mode": "in_force", "seen": seen})

    assert "Somebody changed the draft since you looked at it" in answer.content.decode()
    assert PolicyVersion.objects.count() == 0
    again = admin.post(
        address(policy, "publish"),
        {"mode": "in_force", "seen": answer.context["form"]["seen"].value()},
    )
    assert again.status_code == 302
    assert PolicyVersion.objects.get().source == ALLOW


def test_failing_test_cases_hold_it_back_until_somebody_says_despite(
    cast: Cast, browse: Browser
) -> None:
    policy = drafted(cast, DENY, CASES)
    admin = browse("admin")
    body = {"mode": "in_force", "seen": draft_digest(policy)}

    refused = admin.post(address(policy, "publish"), body)
    assert "1 of 1 test cases of the policy fail" in refused.content.decode()
    assert PolicyVersion.objects.count() == 0
    admin.post(address(policy, "publish"), {**body, "despite_failures": "on"})
    assert PolicyVersion.objects.get().failing_cases == 1


def test_a_shadow_is_published_read_and_ended(cast: Cast, browse: Browser) -> None:
    policy = drafted(cast)
    admin = browse("admin")
    admin.post(address(policy, "publish"), {"mode": "shadow", "seen": draft_digest(policy)})
    shadow = PolicyVersion.objects.get(is_shadow=True)
    call = called(cast.acme)
    PolicyDifference.objects.create(
        workspace=cast.acme, version=shadow, call_id=call.pk, run_id=call.run_id, tool="pay",
        decided_by="builtin-1", effect="allow", rule="fine", shadow_effect="deny",
        shadow_rule="never", at=clock.now(),
    )  # fmt: skip
    PolicyVersion.objects.filter(pk=shadow.pk).update(shadow_asked=9, shadow_differing=1)

    page = admin.get(address(policy))
    found = page.context["policy"].shadow
    assert [pair.count for pair in found.pairs] == [1]
    assert reverse("admin:plugins_toolcall_change", args=[call.pk]) in page.content.decode()
    listed = admin.get(reverse("admin:governance_policydifference_changelist")).content.decode()
    assert reverse("admin:plugins_toolcall_change", args=[call.pk]) in listed

    assert admin.get(address(policy, "end_shadow")).status_code == 405
    admin.post(address(policy, "end_shadow"))
    assert not PolicyVersion.objects.filter(is_shadow=True).exists()
    assert PolicyDifference.objects.count() == 1


def test_signing_out_ends_the_batches(cast: Cast) -> None:
    policy = drafted(cast)
    User.objects.filter(username="admin").update(is_staff=True)

    answer = batch(Client(), policy)

    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]
