"""Admin pages of governance: what is shown, offered, changed and refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.messages import get_messages
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import path, reverse

from governance import access
from governance.admin.access import (
    ApiTokenAdmin,
    MembershipAdmin,
    RoleAdmin,
    UserAdmin,
    WorkspaceAdmin,
)
from governance.admin.records import ActivityAdmin
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin
from governance.models import ApiToken, Membership, Role, User, Workspace
from tests.factories.governance import PASSWORD, Cast, join

site = AdminSite(name="admin")
for model, kind in (
    (User, UserAdmin),
    (Workspace, WorkspaceAdmin),
    (Membership, MembershipAdmin),
    (Role, RoleAdmin),
    (ApiToken, ApiTokenAdmin),
    (LogEntry, ActivityAdmin),
):
    site.register(model, kind)
urlpatterns = [path("admin/", site.urls)]

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture
def page_as(cast: Cast) -> Iterator[Any]:
    """Return a browser signed in as one of the cast, who is staff."""

    def make(name: str) -> Client:
        User.objects.filter(username=name).update(is_staff=True)
        client = Client()
        assert client.login(username=name, password=PASSWORD)
        return client

    return make  # type: ignore[return-value]  # a factory


def _url(model: str, page: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:governance_{model}_{page}", args=args)


def test_lists_show_only_rows_of_ones_workspaces(cast: Cast, page_as: Any) -> None:
    viewer = page_as("viewer")
    workspaces = viewer.get(_url("workspace")).content.decode()
    assert "acme" in workspaces
    assert ">other<" not in workspaces
    members = viewer.get(_url("membership")).content.decode()
    assert "operator" in members
    assert "outsider" not in members
    assert "other" not in members
    assert viewer.get(_url("user")).status_code == 403
    nobody = page_as("nobody")
    for model in ("workspace", "membership", "role", "apitoken", "user"):
        assert nobody.get(_url(model)).status_code == 403


def test_invisible_rows_are_not_there(cast: Cast, page_as: Any) -> None:
    viewer = page_as("viewer")
    for model, row in (
        ("workspace", cast.other),
        ("membership", cast.members["outsider"]),
        ("apitoken", cast.stored(cast.token("outsider"))),
    ):
        for page in ("change", "delete", "history"):
            answer = viewer.get(_url(model, page, row.pk))
            assert answer.status_code in {302, 403, 404}, (model, page)
            assert b"outsider" not in answer.content


def test_without_the_right_to_change_pages_are_read_only(cast: Cast, page_as: Any) -> None:
    viewer = page_as("viewer")
    assert viewer.get(_url("workspace", "change", cast.acme.pk)).status_code == 200
    answer = viewer.post(_url("workspace", "change", cast.acme.pk), {"name": "x", "title": "x"})
    assert answer.status_code == 403
    assert viewer.get(_url("workspace", "add")).status_code == 403
    assert viewer.get(_url("membership", "add")).status_code == 403
    member = cast.members["operator"]
    assert viewer.post(_url("membership", "delete", member.pk), {"post": "yes"}).status_code == 403
    assert Workspace.objects.get(pk=cast.acme.pk).name == "acme"
    assert Membership.objects.filter(pk=member.pk).exists()


def test_an_admin_changes_members_and_choices_are_scoped(cast: Cast, page_as: Any) -> None:
    browser = page_as("admin")
    join(cast.acme, "newcomer", "viewer")
    form = browser.get(_url("membership", "add")).context["adminform"].form
    assert list(form.fields["workspace"].queryset) == [cast.acme]
    names = {user.username for user in form.fields["user"].queryset}
    assert "outsider" not in names
    assert "newcomer" in names

    roles = Role.objects.filter(name="operator")
    member = cast.members["viewer"]
    answer = browser.post(
        _url("membership", "change", member.pk), {"roles": [role.pk for role in roles]}
    )
    assert answer.status_code == 302
    assert Perm.RUN_START in access.permissions_of(cast.actor("viewer"), cast.acme)
    foreign = browser.post(
        _url("membership", "add"),
        {"workspace": str(cast.other.pk), "user": str(cast.users["viewer"].pk), "roles": []},
    )
    assert foreign.status_code == 200
    assert "workspace" in foreign.context["adminform"].form.errors
    assert browser.post(_url("membership", "delete", member.pk), {"post": "yes"}).status_code == 302
    assert not Membership.objects.filter(pk=member.pk).exists()


def test_an_expected_failure_is_a_message_and_changes_nothing(cast: Cast, page_as: Any) -> None:
    browser = page_as("admin")
    last = cast.members["admin"]
    answer = browser.post(_url("membership", "delete", last.pk), {"post": "yes"})
    assert answer.status_code == 302
    assert "last admin" in str(next(iter(get_messages(answer.wsgi_request))))
    assert Membership.objects.filter(pk=last.pk).exists()
    taken = browser.post(_url("workspace", "change", cast.acme.pk), {"name": "other", "title": ""})
    assert taken.status_code in {200, 302}
    assert Workspace.objects.get(pk=cast.acme.pk).name == "acme"


def test_roles_are_made_changed_and_ended(cast: Cast, page_as: Any) -> None:
    browser = page_as("admin")
    body = {"workspace": str(cast.acme.pk), "name": "starter", "permissions": ["run.start"]}
    assert browser.post(_url("role", "add"), body).status_code == 302
    role = Role.objects.get(name="starter")
    assert role.permissions == ["run.start"]
    changed = {"name": "starter", "permissions": ["run.start", "run.view"]}
    assert browser.post(_url("role", "change", role.pk), changed).status_code == 302
    assert Role.objects.get(pk=role.pk).permissions == ["run.start", "run.view"]
    built_in = Role.objects.get(name="viewer")
    assert browser.get(_url("role", "change", built_in.pk)).status_code == 200
    assert browser.post(_url("role", "change", built_in.pk), changed).status_code == 403
    assert browser.post(_url("role", "delete", role.pk), {"post": "yes"}).status_code == 302
    assert not Role.objects.filter(pk=role.pk).exists()


def test_the_secret_of_a_token_is_shown_once_and_deleting_revokes(cast: Cast, page_as: Any) -> None:
    browser = page_as("viewer")
    body = {"name": "laptop", "workspace": str(cast.acme.pk), "scopes": ["run.view"]}
    answer = browser.post(_url("apitoken", "add"), body)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    secret = answer.context["secret"]
    assert secret in answer.content.decode()
    token = ApiToken.objects.get(name="laptop")
    assert access.actor_from_token(secret).scopes == frozenset({Perm.RUN_VIEW})
    listed = browser.get(_url("apitoken")).content.decode()
    assert secret not in listed
    assert token.prefix in listed
    assert browser.post(_url("apitoken", "delete", token.pk), {"post": "yes"}).status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None
    wider = browser.post(_url("apitoken", "add"), {"name": "wide", "scopes": ["agent.edit"]})
    assert wider.status_code == 302
    assert not ApiToken.objects.filter(name="wide").exists()


def test_a_superuser_keeps_users(cast: Cast, page_as: Any) -> None:
    browser = page_as("root")
    assert browser.get(_url("user")).status_code == 200
    user = cast.users["viewer"]
    page = browser.get(_url("user", "change", user.pk))
    assert page.status_code == 200
    assert user.password.encode() not in page.content
    answer = browser.post(
        _url("user", "change", user.pk), {"username": "viewer", "email": "v@example.org"}
    )
    assert answer.status_code == 302
    stored = User.objects.get(pk=user.pk)
    assert (stored.email, stored.is_active) == ("v@example.org", False)
    body = {
        "username": "fresh", "password1": "a long unusual phrase",
        "password2": "a long unusual phrase", "usable_password": "true",
        "email": "f@example.org", "is_staff": "on",
    }  # fmt: skip
    assert "May sign in to the console." in browser.get(_url("user", "add")).content.decode()
    assert browser.post(_url("user", "add"), body).status_code == 302
    fresh = User.objects.get(username="fresh")
    assert fresh.check_password("a long unusual phrase")
    assert (fresh.email, fresh.is_staff, fresh.is_superuser) == ("f@example.org", True, False)
    assert browser.post(_url("workspace", "add"), {"name": "third", "title": ""}).status_code == 302


def test_activity_is_shown_to_auditors_and_never_edited(cast: Cast, page_as: Any) -> None:
    page_as("admin").post(
        _url("workspace", "change", cast.acme.pk), {"name": "acme", "title": "The Acme"}
    )
    entry = LogEntry.objects.get(content_type__model="workspace", action=LogEntry.Action.UPDATE)
    assert entry.actor == cast.users["admin"]
    listing, detail = (
        reverse("admin:auditlog_logentry_changelist"),
        reverse("admin:auditlog_logentry_change", args=(entry.pk,)),
    )
    auditor = page_as("auditor")
    assert auditor.get(listing).status_code == 200
    assert b"The Acme" in auditor.get(detail).content
    assert auditor.post(detail, {}).status_code == 403
    assert page_as("viewer").get(listing).status_code == 403
    outsider = page_as("outsider")
    assert b"acme" not in outsider.get(listing).content
    assert b"The Acme" not in outsider.get(detail, follow=True).content


def test_an_admin_class_without_a_permission_is_refused() -> None:
    class Open(GuardedAdmin):
        pass

    with pytest.raises(ImproperlyConfigured, match="view_perm"):
        Open(Workspace, admin.AdminSite())
