"""Tokens and users: who issues, sees, revokes and changes them."""

from datetime import timedelta

import pytest

from core import clock
from core.errors import NotFoundError, PermissionDeniedError
from governance import access
from governance.contracts import Perm
from governance.errors import EscalationError
from governance.models import ApiToken, User
from governance.selectors.tokens import token_list
from governance.services.members import member_add
from governance.services.tokens import token_issue, token_revoke
from governance.services.users import user_create, user_update
from tests.factories.governance import OTHER_PASSWORD, PASSWORD, Cast


def test_a_token_issues_only_narrower_and_shorter_ones(cast: Cast) -> None:
    soon = clock.now() + timedelta(hours=1)
    actor = cast.narrowed(
        "admin", workspace=cast.acme, scopes=["run.view", "run.start"], expires_at=soon
    )
    count = ApiToken.objects.count()
    for options in (
        {"workspace": cast.acme, "scopes": ["run.view"]},
        {"workspace": cast.acme, "scopes": ["run.view"], "expires_at": soon + timedelta(hours=1)},
        {"workspace": cast.acme, "expires_at": soon},
        {"scopes": ["run.view"], "expires_at": soon},
        {"workspace": cast.acme, "scopes": ["run.view", "agent.edit"], "expires_at": soon},
    ):
        with pytest.raises(EscalationError):
            token_issue(actor, name="wider", **options)  # type: ignore[arg-type]  # as listed
    assert ApiToken.objects.count() == count
    issued = token_issue(
        actor, name="narrower", workspace=cast.acme, scopes=["run.view"], expires_at=soon
    )
    assert issued.token.scopes == ["run.view"]
    assert issued.secret not in repr(issued)


def test_a_superusers_narrowed_token_is_told_apart_from_somebody_else(cast: Cast) -> None:
    count = User.objects.count()
    told = {}
    for name, actor in (
        ("narrowed", cast.narrowed("root", workspace=cast.acme)),
        ("admin", cast.actor("admin")),
    ):
        with pytest.raises(PermissionDeniedError) as refused:
            user_create(actor=actor, username="new", password=OTHER_PASSWORD)
        told[name] = refused.value.message

    assert "this token is less than its owner" in told["narrowed"]
    assert told["admin"] == "Only a superuser may create users."
    assert User.objects.count() == count


def test_who_sees_and_revokes_which_token(cast: Cast) -> None:
    own = cast.stored(cast.token("viewer"))
    bound = cast.stored(cast.token("viewer", workspace=cast.acme))

    assert set(token_list(cast.actor("viewer"))) == {own, bound}
    assert set(token_list(cast.actor("admin"))) == {bound}
    assert not token_list(cast.actor("outsider")).exists()
    assert set(token_list(cast.actor("root"))) == {own, bound}
    narrow = cast.narrowed("viewer", scopes=["run.view"])
    assert [token.pk for token in token_list(narrow)] == [narrow.token_id]

    for name, token in (("outsider", bound), ("admin", own), ("operator", bound)):
        with pytest.raises(NotFoundError):
            token_revoke(cast.actor(name), token=token)
    with pytest.raises(NotFoundError):
        token_revoke(narrow, token=own)
    assert not ApiToken.objects.filter(revoked_at__isnull=False).exists()

    revoked = token_revoke(cast.actor("admin"), token=bound)
    again = token_revoke(cast.actor("viewer"), token=bound)
    assert again.revoked_at == revoked.revoked_at
    token_revoke(cast.actor("root"), token=own)
    assert narrow.token_id is not None
    token_revoke(narrow, token=ApiToken.objects.get(pk=narrow.token_id))


def test_a_superuser_issues_for_a_service_account(cast: Cast) -> None:
    robot = user_create(cast.actor("root"), username="robot", is_service=True)
    assert not robot.has_usable_password()
    member_add(cast.actor("admin"), workspace=cast.acme, username="robot", roles=["operator"])
    issued = token_issue(
        cast.actor("root"), name="ci", user_id=robot.pk, workspace=cast.acme, scopes=["run.start"]
    )
    actor = access.actor_from_token(issued.secret)
    assert access.permissions_of(actor, cast.acme) == {Perm.RUN_START}


def test_users_are_changed_by_superusers(cast: Cast) -> None:
    user = user_create(
        cast.actor("root"), username="new", password=OTHER_PASSWORD, email="new@example.org"
    )
    assert access.permissions_by_workspace(access.actor_of_user(user)) == {}
    changed = user_update(
        cast.actor("root"), user=user, email="", is_active=False, is_staff=True, password=PASSWORD
    )
    assert (changed.email, changed.is_active, changed.is_staff) == ("", False, True)
    assert changed.check_password(PASSWORD)
