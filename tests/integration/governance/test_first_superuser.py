"""The first superuser is made on the machine, and the site's audit chain says so."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from governance.contracts import AuditAction
from governance.models import AuditEntry, User

COMMAND = "agentry_site.management.commands.createsuperuser"
PASSWORD = "a long enough pass phrase"

pytestmark = pytest.mark.django_db


def entries() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(workspace=None, action=AuditAction.PERMISSION_CHANGED.value)
    assert PASSWORD not in str([*rows.values()])
    return [*rows.order_by("sequence").values_list("actor_name", "subject_label")]


def types(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    left: Any = iter(words)
    monkeypatch.setattr(f"{COMMAND}.getpass", lambda prompt: next(left))


def test_whoever_is_made_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    types(monkeypatch, PASSWORD, PASSWORD)
    call_command("createsuperuser", username="root1")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\nmore\n"))
    call_command("createsuperuser", "--password-stdin", username="root2", email="r2@example.com")

    made = User.objects.filter(is_superuser=True, is_staff=True).order_by("username")
    assert [(user.username, user.check_password(PASSWORD)) for user in made] == [
        ("root1", True),
        ("root2", True),
    ]
    assert entries() == [("system", "root1"), ("system", "root2")]


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [((PASSWORD, "another"), "not the same"), (("short", "short"), "password")],
)
def test_nobody_is_made_by_mistake(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, str], complaint: str
) -> None:
    types(monkeypatch, *typed)
    with pytest.raises(CommandError, match=complaint):
        call_command("createsuperuser", username="root1")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="There is no password"):
        call_command("createsuperuser", "--password-stdin", username="root1")
    assert (User.objects.count(), entries()) == (0, [])


def test_without_anybody_to_ask_the_other_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(f"{COMMAND}.getpass", closed)

    with pytest.raises(CommandError, match="with --password-stdin"):
        call_command("createsuperuser", username="root1")
    assert not User.objects.exists()
    assert entries() == []
