"""Pages of policies: the draft, publishing what was looked at, the shadow."""

import pytest
from django.urls import reverse

from core import clock
from governance.models import Policy, PolicyDifference, PolicyVersion
from governance.services.policies import draft_digest, policy_publish
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser
from tests.integration.console.policy_kit import ALLOW, CASES, DENY, address, called, drafted

pytestmark = pytest.mark.django_db


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
