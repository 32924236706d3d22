"""A new password is in the site's audit chain, wherever it was given, and never the password."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from governance.contracts import AuditAction
from governance.models import AuditEntry, User
from tests.factories.governance import OTHER_PASSWORD, PASSWORD, Cast

NEW = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD}


def root_client(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.users["root"])
    return client


def told(username: str) -> list[tuple[str, bool]]:
    rows = AuditEntry.objects.filter(
        workspace=None, action=AuditAction.PERMISSION_CHANGED.value, subject_label=username
    ).order_by("sequence")
    assert PASSWORD not in str([*rows.values()])
    assert OTHER_PASSWORD not in str([*rows.values()])
    return [(row.actor_name, row.payload["is_password_new"]) for row in rows]


def opens(username: str, password: str) -> bool:
    return User.objects.get(username=username).check_password(password)


def test_the_page_of_somebody_elses_password_is_recorded(cast: Cast) -> None:
    page = reverse("admin:auth_user_password_change", args=[cast.users["viewer"].pk])
    client = root_client(cast)
    weak = client.post(
        page, {"password1": "short", "password2": "short", "usable_password": "true"}
    )
    assert (weak.status_code, told("viewer")) == (200, [])
    given = client.post(page, {**NEW, "usable_password": "true"})

    assert (given.status_code, told("viewer")) == (302, [("root", True)])
    assert opens("viewer", OTHER_PASSWORD)


def test_the_page_of_ones_own_password_is_recorded(cast: Cast) -> None:
    page = reverse("admin:password_change")
    client = root_client(cast)
    names = {"new_password1": OTHER_PASSWORD, "new_password2": OTHER_PASSWORD}
    wrong = client.post(page, {"old_password": "wrong", **names})
    assert (wrong.status_code, told("root")) == (200, [])
    given = client.post(page, {"old_password": PASSWORD, **names})

    assert (given.status_code, told("root")) == (302, [("root", True)])
    assert opens("root", OTHER_PASSWORD)


def test_nobody_else_opens_the_page_and_a_service_account_has_no_password(cast: Cast) -> None:
    User.objects.filter(username="viewer").update(is_service=True)
    page = reverse("admin:auth_user_password_change", args=[cast.users["viewer"].pk])
    refused = root_client(cast).post(page, {**NEW, "usable_password": "true"})
    assert (refused.status_code, told("viewer")) == (403, [])
    assert not opens("viewer", OTHER_PASSWORD)
    User.objects.filter(username="admin").update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(username="admin"))
    other = reverse("admin:auth_user_password_change", args=[cast.users["auditor"].pk])
    assert client.post(other, {**NEW, "usable_password": "true"}).status_code in {302, 403}
    assert (told("auditor"), opens("auditor", PASSWORD)) == ([], True)


@pytest.mark.parametrize(
    ("username", "typed", "complaint"),
    [
        ("viewer", [OTHER_PASSWORD, "another"], "not the same"),
        ("viewer", ["short", "short"], "password"),
        ("ghost", [OTHER_PASSWORD, OTHER_PASSWORD], "There is no user 'ghost'"),
    ],
)
def test_the_command_refuses_with_its_reason(
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    username: str,
    typed: list[str],
    complaint: str,
) -> None:
    _types(monkeypatch, typed)
    with pytest.raises(CommandError, match=complaint):
        call_command("changepassword", username)
    assert (told("viewer"), opens("viewer", PASSWORD)) == ([], True)


def test_the_command_is_recorded(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch, [OTHER_PASSWORD, OTHER_PASSWORD])
    call_command("changepassword", "viewer")
    assert (told("viewer"), opens("viewer", OTHER_PASSWORD)) == ([("system", True)], True)


def _types(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    left: Any = iter(words)
    monkeypatch.setattr(
        "agentry_site.management.commands.changepassword.getpass", lambda prompt: next(left)
    )
