"""Secrets go in, are counted and audited, and never come out of an interface."""

import json
from functools import partial
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.urls import reverse

from core.errors import PermissionDeniedError
from core.redaction import known_secrets
from core.sealing import SealBrokenError, unseal
from governance.contracts import SYSTEM
from governance.errors import SecretChangedError, SecretElsewhereError
from governance.models import AuditEntry, Secret, User
from governance.secrets.places import places_parse
from governance.services.secrets import PURPOSE, secret_delete, secret_rotate, secret_set
from tests.factories.governance import PASSWORD, Cast
from tests.integration.agents.approvals.kit import at_once

VALUE = "correct-horse-battery"
OTHER = "another-horse-battery"
BASE = "workspaces/acme/secrets"

pytestmark = pytest.mark.django_db


def _opened(row: Secret) -> str:
    return unseal(row.sealed_value, workspace_id=row.workspace_id, name=row.name, purpose=PURPOSE)


def _told() -> list[tuple[str, str, dict[str, Any]]]:
    rows = AuditEntry.objects.filter(action="secret_changed").order_by("sequence")
    return [(row.actor_name, row.subject_label, row.payload) for row in rows]


def test_a_secret_is_set_changed_and_deleted_over_rest(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")

    made = admin("post", BASE, {"name": "github", "value": VALUE, "description": "for releases"})
    same = admin("post", BASE, {"name": "github", "value": VALUE})
    changed = admin("post", BASE, {"name": "github", "value": OTHER})
    described = admin("patch", f"{BASE}/github", {"description": "for issues"})
    listed = admin("get", BASE)

    assert [each.status_code for each in (made, same, changed, described)] == [201, 200, 200, 200]
    assert [each.json()["version"] for each in (made, same, changed, described)] == [1, 1, 2, 2]
    assert changed.json()["description"] == "for releases"
    assert set(made.json()) == {
        "name", "description", "version", "created_at", "updated_at", "updated_by", "used_at",
    }  # fmt: skip
    assert [row["name"] for row in listed.json()["items"]] == ["github"]
    row = Secret.objects.get()
    assert (_opened(row), row.description) == (OTHER, "for issues")
    assert admin("delete", f"{BASE}/github").status_code == 204
    assert admin("get", f"{BASE}/github").status_code == 404
    whats = [(name, label, payload["what"], payload["version"]) for name, label, payload in _told()]
    assert whats == [
        ("admin", "github", "created", 1),
        ("admin", "github", "changed", 2),
        ("admin", "github", "described", 2),
        ("admin", "github", "deleted", 2),
    ]


def test_no_answer_row_or_record_holds_a_value(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    answers = [
        admin("post", BASE, {"name": "github", "value": VALUE}),
        admin("get", BASE),
        admin("get", f"{BASE}/github"),
        admin("post", f"{BASE}/github/rotate", {"value": VALUE}),
        admin("post", BASE, {"name": "bad name", "value": VALUE}),
        admin("post", BASE, {"name": "github", "value": VALUE, "versio": 1}),
        admin("patch", f"{BASE}/github", {"value": [VALUE]}),
    ]

    assert [each.status_code for each in answers] == [201, 200, 200, 400, 400, 400, 400]
    assert all(VALUE not in each.content.decode() for each in answers)
    assert VALUE not in json.dumps([entry.changes_dict for entry in LogEntry.objects.all()])
    assert all(VALUE not in json.dumps(row.payload) for row in AuditEntry.objects.all())
    assert VALUE.encode() not in bytes(Secret.objects.get().sealed_value)
    assert known_secrets.replace(f"it is {VALUE}.") == "it is [redacted]."


@pytest.mark.parametrize("who", ["viewer", "operator", "approver"])
def test_who_has_no_permission_sees_no_names(cast: Cast, call_as: Any, who: str) -> None:
    secret_set(SYSTEM, workspace=cast.acme, name="github", value=VALUE)
    caller = call_as(who)

    assert caller("get", BASE).status_code == 403
    assert caller("get", f"{BASE}/github").status_code in {403, 404}
    assert caller("post", BASE, {"name": "github", "value": OTHER}).status_code == 403
    assert caller("delete", f"{BASE}/github").status_code in {403, 404}
    assert _opened(Secret.objects.get()) == VALUE


@pytest.mark.parametrize("who", ["author", "auditor"])
def test_who_may_see_names_may_not_change_them(cast: Cast, call_as: Any, who: str) -> None:
    row = secret_set(SYSTEM, workspace=cast.acme, name="github", value=VALUE)
    caller = call_as(who)

    assert caller("get", f"{BASE}/github").json()["name"] == "github"
    assert caller("post", BASE, {"name": "github", "value": OTHER}).status_code == 403
    assert caller("patch", f"{BASE}/github", {"value": OTHER}).status_code == 403
    assert caller("post", f"{BASE}/github/rotate", {"value": OTHER}).status_code == 403
    assert caller("delete", f"{BASE}/github").status_code == 403
    for act in (
        partial(secret_set, workspace=cast.acme, name="github", value=OTHER),
        partial(secret_rotate, secret=row, value=OTHER),
        partial(secret_delete, secret=row),
    ):
        with pytest.raises(PermissionDeniedError):
            act(cast.actor(who))
    assert (_opened(Secret.objects.get()), len(_told())) == (VALUE, 1)


def test_an_older_state_is_not_changed(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")
    seen = admin("post", BASE, {"name": "github", "value": VALUE})["ETag"]
    Secret.objects.update(used_at="2026-01-01T00:00:00Z")
    used = admin("get", f"{BASE}/github")["ETag"]
    first = admin("patch", f"{BASE}/github", {"value": OTHER}, **{"If-Match": seen})
    late = admin("patch", f"{BASE}/github", {"value": VALUE}, **{"If-Match": seen})
    rotated = admin("post", f"{BASE}/github/rotate", {"value": VALUE}, **{"If-Match": seen})
    gone = admin("delete", f"{BASE}/github", **{"If-Match": seen})
    version = admin("post", BASE, {"name": "github", "value": VALUE, "version": 1})
    there = admin("post", BASE, {"name": "github", "value": VALUE, "version": 0})

    assert used == seen, "using a secret is no change"
    assert [each.status_code for each in (first, late, rotated, gone)] == [200, 412, 412, 412]
    assert (version.status_code, version.json()["code"]) == (409, "secret_changed")
    assert there.status_code == 409
    assert _opened(Secret.objects.get()) == OTHER


@pytest.mark.django_db(transaction=True)
def test_of_two_setters_who_saw_the_same_version_one_wins(cast: Cast) -> None:
    actor = cast.actor("admin")

    def work(value: str, version: int) -> Any:
        return lambda: secret_set(
            actor, workspace=cast.acme, name="github", value=value, expected_version=version
        )

    for version in (0, 1):
        outcomes = at_once(work(f"value-number-{version}{each}", version) for each in range(8))
        won = [each for each in outcomes if isinstance(each, Secret)]
        lost = [each for each in outcomes if isinstance(each, SecretChangedError)]
        assert (len(won), len(lost)) == (1, 7), outcomes
        row = Secret.objects.get()
        assert (row.version, _opened(row)) == (version + 1, _opened(won[0]))
    assert [payload["version"] for _, _, payload in _told()] == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_of_many_setters_who_expect_nothing_all_are_counted(cast: Cast) -> None:
    actor = cast.actor("admin")

    def work(number: int) -> Any:
        return lambda: secret_set(
            actor, workspace=cast.acme, name="github", value=f"value-number-{number}"
        )

    outcomes = at_once(work(number) for number in range(8))

    assert all(isinstance(each, Secret) for each in outcomes), outcomes
    assert Secret.objects.get().version == 8
    assert [payload["version"] for _, _, payload in _told()] == list(range(1, 9))


def test_a_copied_row_does_not_open(cast: Cast) -> None:
    one = secret_set(SYSTEM, workspace=cast.acme, name="github", value=VALUE)
    same_name = secret_set(SYSTEM, workspace=cast.other, name="github", value=OTHER)
    same_place = secret_set(SYSTEM, workspace=cast.acme, name="gitlab", value=OTHER)
    for row in (same_name, same_place):
        Secret.objects.filter(pk=row.pk).update(sealed_value=bytes(one.sealed_value))
        row.refresh_from_db()
        with pytest.raises(SealBrokenError):
            _opened(row)


@pytest.mark.parametrize("name", ["", "1st", "a/b", "..", "a b", "x" * 64, "näme", "a\n"])
def test_what_cannot_be_a_name_is_refused(cast: Cast, call_as: Any, name: str) -> None:
    answer = call_as("admin")("post", BASE, {"name": name, "value": VALUE})

    assert answer.status_code == 400
    assert Secret.objects.count() == 0


@pytest.mark.parametrize("value", ["", "short", "x" * 32_769, "nul\0in-the-middle", 12345678])
def test_what_cannot_be_a_value_is_refused(cast: Cast, call_as: Any, value: Any) -> None:
    answer = call_as("admin")("post", BASE, {"name": "github", "value": value})

    assert answer.status_code == 400
    assert Secret.objects.count() == 0


def test_what_the_site_takes_from_outside_is_not_set_here(cast: Cast, settings: Any) -> None:
    settings.SECRET_PLACES = places_parse(["acme/github=file:github"])

    with pytest.raises(SecretElsewhereError, match="file"):
        secret_set(SYSTEM, workspace=cast.acme, name="github", value=VALUE)
    assert secret_set(SYSTEM, workspace=cast.other, name="github", value=VALUE).version == 1


def test_the_console_takes_a_value_and_never_shows_it(cast: Cast) -> None:
    User.objects.filter(username="admin").update(is_staff=True)
    browser = Client()
    assert browser.login(username="admin", password=PASSWORD)
    fields = {"workspace": str(cast.acme.pk), "name": "github", "description": "d"}

    added = browser.post(
        reverse("admin:governance_secret_add"), {**fields, "value": VALUE, "seen_version": 0}
    )
    row = Secret.objects.get()
    page = reverse("admin:governance_secret_change", args=[row.pk])
    kept = browser.post(page, {"description": "e", "value": "", "seen_version": 1})
    changed = browser.post(page, {"description": "e", "value": OTHER, "seen_version": 1})
    late = browser.post(page, {"description": "e", "value": VALUE, "seen_version": 1})

    assert [each.status_code for each in (added, kept, changed, late)] == [302, 302, 302, 302]
    row.refresh_from_db()
    assert (_opened(row), row.version, row.description) == (OTHER, 2, "e")
    for address in (page, reverse("admin:governance_secret_changelist"), f"{page[:-7]}history/"):
        shown = browser.get(address).content.decode()
        assert "github" in shown
        assert VALUE not in shown
        assert OTHER not in shown
