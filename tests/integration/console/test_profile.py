"""One's own page: letters, tokens, and what others may not touch; and the page of settings."""

from typing import Any

import pytest
from django.test import Client

from governance.models import ApiToken, Channel, User
from tests.factories.governance import issue, join, make_user, make_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> Any:
    member = join(make_workspace("acme"), "olga", "operator")
    User.objects.filter(pk=member.user.pk).update(is_staff=True, email="olga@acme.example")
    return member


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_it_says_who_one_is(olga: Any) -> None:
    shown = signed_in(olga.user).get("/admin/profile/").content.decode()

    assert "acme: operator" in shown
    assert "olga@acme.example" in shown
    assert "You have none. A token lets a program" in shown


def test_letters_are_wished_for_and_ended(olga: Any) -> None:
    client = signed_in(olga.user)
    field = f"letters-{olga.workspace_id}"

    client.post("/admin/profile/letters/", {field: ["run.failed", "approval.asked"]})
    row = Channel.objects.get(owner=olga.user)
    assert (row.kind, row.events) == ("email", ["approval.asked", "run.failed"])
    shown = client.get("/admin/profile/").content.decode()
    assert shown.count(" checked") == 2

    client.post("/admin/profile/letters/", {})
    assert not Channel.objects.filter(owner=olga.user).exists()


@pytest.mark.parametrize("wish", ["channel.test", "run.everything"])
def test_unknown_news_is_refused_and_nothing_is_kept(olga: Any, wish: str) -> None:
    client = signed_in(olga.user)
    answer = client.post(
        "/admin/profile/letters/", {f"letters-{olga.workspace_id}": [wish]}, follow=True
    )

    assert "is no news" in answer.content.decode()
    assert not Channel.objects.exists()


def test_without_an_address_nothing_is_promised(olga: Any) -> None:
    User.objects.filter(pk=olga.user.pk).update(email="")
    client = signed_in(olga.user)
    answer = client.post(
        "/admin/profile/letters/", {f"letters-{olga.workspace_id}": ["run.failed"]}, follow=True
    )

    assert "There is no address to write to" in answer.content.decode()
    assert "has no e-mail address" in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_workspace_one_is_not_in_is_left_alone(olga: Any) -> None:
    other = make_workspace("other")
    signed_in(olga.user).post("/admin/profile/letters/", {f"letters-{other.pk}": ["run.failed"]})

    assert not Channel.objects.exists()


def test_letters_are_nobody_elses_business(olga: Any) -> None:
    signed_in(olga.user).post(
        "/admin/profile/letters/", {f"letters-{olga.workspace_id}": ["run.failed"]}
    )
    admin = join(olga.workspace, "ada", "admin").user
    User.objects.filter(pk=admin.pk).update(is_staff=True)
    row = Channel.objects.get(owner=olga.user)

    client = signed_in(admin)
    assert row.name not in client.get("/admin/governance/channel/").content.decode()
    page = client.get(f"/admin/governance/channel/{row.pk}/change/")
    assert page.status_code == 302
    answer = client.get("/api/v1/workspaces/acme/channels")
    assert answer.status_code == 200
    assert row.name not in answer.content.decode()


def test_ones_own_token_is_revoked_and_no_others(olga: Any) -> None:
    mine = issue(olga.user, workspace=olga.workspace).token
    theirs = issue(make_user("eve"), workspace=None).token
    client = signed_in(olga.user)

    assert mine.name in client.get("/admin/profile/").content.decode()
    assert client.get(f"/admin/profile/tokens/{mine.pk}/revoke/").status_code == 405
    client.post(f"/admin/profile/tokens/{mine.pk}/revoke/")
    assert client.post(f"/admin/profile/tokens/{theirs.pk}/revoke/").status_code == 404

    revoked = dict(ApiToken.objects.values_list("pk", "revoked_at"))
    assert revoked[mine.pk] is not None
    assert revoked[theirs.pk] is None


def test_settings_are_for_site_admins(olga: Any) -> None:
    assert signed_in(olga.user).get("/admin/settings/").status_code == 403
    root = make_user("root", is_superuser=True)
    User.objects.filter(pk=root.pk).update(is_staff=True)
    shown = signed_in(root).get("/admin/settings/").content.decode()

    assert "AGENTRY_PUBLIC_URL" in shown
    assert "variables are set for this process" in shown
