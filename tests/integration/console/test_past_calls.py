"""Past calls put to a draft: what would be blocked, asked or free, and for whom to see."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentry_site.console import time_machine
from governance.models import Policy, PolicyVersion, User
from governance.services.policies import draft_digest, policy_publish
from plugins.models import ToolCall
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser
from tests.integration.console.policy_kit import ALLOW, DENY, address, called, drafted

pytestmark = pytest.mark.django_db


def batch(client: Client, policy: Policy, so_far: str = "", days: str = "7") -> Any:
    url = reverse("admin:policy_try_batch", args=[policy.pk])
    return client.post(url, {"days": days, "so_far": so_far})


def figures(answer: Any) -> dict[str, str]:
    return {figure.change: figure.value for figure in answer.context["figures"]}


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


def test_signing_out_ends_the_batches(cast: Cast) -> None:
    policy = drafted(cast)
    User.objects.filter(username="admin").update(is_staff=True)

    answer = batch(Client(), policy)

    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]
