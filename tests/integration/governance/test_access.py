"""The permission table, over a fixed cast."""

from datetime import timedelta
from uuid import uuid5

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import get_objects_for_user, get_perms

from core import clock
from core.errors import NotFoundError, PermissionDeniedError
from governance import access
from governance.contracts import BUILTIN_ROLES, SYSTEM, Actor, Perm
from governance.errors import TokenExpiredError, TokenInvalidError, TokenRevokedError
from governance.models import (
    ApiToken,
    Membership,
    Role,
    User,
    Workspace,
    WorkspaceGroupPermission,
    WorkspaceUserPermission,
)
from governance.services.roles import builtin_roles_sync
from governance.services.tokens import token_revoke
from tests.factories.governance import Cast

ALL = frozenset(Perm)
EXPECTED: dict[str, frozenset[Perm]] = {
    **BUILTIN_ROLES,
    "outsider": frozenset(),
    "inactive": frozenset(),
    "nobody": frozenset(),
    "root": ALL,
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_of_the_cast_may_exactly_what_the_roles_say(cast: Cast, name: str) -> None:
    actor, acme = cast.actor(name), cast.acme
    workspaces = Workspace.objects.all()
    answers = {
        "by row": {perm for perm in Perm if access.can(actor, perm, acme)},
        "by id": {perm for perm in Perm if access.can(actor, perm, acme.pk)},
        "cached": {perm for perm in Perm if access.permission_cache.can(actor, perm, acme.pk)},
        "ids": {perm for perm in Perm if acme.pk in access.permitted_workspace_ids(actor, perm)},
        "lists": {
            perm for perm in Perm if acme in access.scope(actor, perm, workspaces, field="pk")
        },
    }
    assert answers == {key: set(EXPECTED[name]) for key in answers}


def test_a_narrowed_token_may_less_than_its_owner(cast: Cast) -> None:
    actor = cast.narrowed("admin", scopes=["run.view", "run.start"], workspace=cast.acme)

    assert access.permissions_of(actor, cast.acme) == {Perm.RUN_VIEW, Perm.RUN_START}
    assert access.permissions_of(actor, cast.other) == frozenset()


def test_a_narrowed_token_of_a_superuser_is_narrow(cast: Cast) -> None:
    actor = cast.narrowed("root", scopes=["run.view"], workspace=cast.acme)

    assert access.permissions_of(actor, cast.acme) == {Perm.RUN_VIEW}
    assert access.permissions_of(actor, cast.other) == frozenset()
    rows = Membership.objects.all()
    assert {row.workspace for row in access.scope(actor, Perm.RUN_VIEW, rows)} == {cast.acme}
    assert not access.scope(actor, Perm.AGENT_VIEW, rows).exists()


def test_a_scope_the_owner_has_lost_gives_nothing(cast: Cast) -> None:
    actor = cast.narrowed("operator", scopes=["run.start", "run.view"])
    cast.members["operator"].roles.set(Role.objects.filter(name="viewer"))
    access.grants_follow_roles([cast.members["operator"]])

    assert access.permissions_of(actor, cast.acme) == {Perm.RUN_VIEW}


def test_an_unknown_permission_is_never_held(cast: Cast) -> None:
    for name in ("admin", "root"):
        assert access.can(cast.actor(name), "run.teleport", cast.acme) is False
        assert not access.permitted_workspace_ids(cast.actor(name), "run.teleport").exists()
        rows = Workspace.objects.all()
        assert not access.scope(cast.actor(name), "run.teleport", rows, field="pk").exists()
    assert access.can(SYSTEM, "run.teleport", cast.acme) is False
    assert access.can(cast.actor("root"), Perm.RUN_VIEW, None) is False


def test_require_tells_a_member_what_is_missing_and_an_outsider_nothing(cast: Cast) -> None:
    access.require(cast.actor("operator"), Perm.RUN_START, cast.acme)

    with pytest.raises(PermissionDeniedError) as denied:
        access.require(cast.actor("viewer"), Perm.RUN_START, cast.acme)
    assert "run.start" in denied.value.message
    assert "acme" in denied.value.message
    assert denied.value.detail == {"permission": "run.start", "workspace": "acme"}

    with pytest.raises(NotFoundError) as hidden:
        access.require(cast.actor("outsider"), Perm.RUN_START, cast.acme)
    with pytest.raises(NotFoundError) as missing:
        access.require(cast.actor("outsider"), Perm.RUN_START, uuid5(cast.acme.pk, "none"))
    assert str(hidden.value) == str(missing.value)
    assert "acme" not in str(hidden.value)


def test_require_names_the_scope_a_token_lacks(cast: Cast) -> None:
    actor = cast.narrowed("admin", scopes=["run.view"])
    with pytest.raises(PermissionDeniedError, match=r"issue one with the scope run\.start"):
        access.require(actor, Perm.RUN_START, cast.acme.pk)
    bound = cast.narrowed("root", workspace=cast.acme)
    with pytest.raises(NotFoundError):
        access.require(bound, Perm.RUN_START, cast.other)


def test_the_system_may_everything_and_lists_nothing(cast: Cast) -> None:
    assert access.permissions_of(SYSTEM, cast.acme) == ALL
    assert access.permission_cache.can(SYSTEM, Perm.RUN_START, cast.acme.pk)
    assert access.permission_cache.peek(SYSTEM, Perm.RUN_START, cast.acme.pk) is True
    assert not access.permitted_workspace_ids(SYSTEM, Perm.RUN_VIEW).exists()
    with pytest.raises(PermissionDeniedError):
        access.scope(SYSTEM, Perm.RUN_VIEW, Workspace.objects.all(), field="pk")


def test_an_actor_without_a_user_that_is_not_the_system_may_nothing(cast: Cast) -> None:
    ghost = Actor(user_id=None, username="ghost")
    assert access.permissions_of(ghost, cast.acme) == frozenset()
    assert not access.permitted_workspace_ids(ghost, Perm.RUN_VIEW).exists()


def test_scope_follows_paths_and_uuid_columns_in_one_query(cast: Cast) -> None:
    actor = cast.actor("viewer")
    members = Membership.objects.all()
    with CaptureQueriesContext(connection) as queries:
        through_key = list(access.scope(actor, Perm.RUN_VIEW, members))
        by_column = list(access.scope(actor, Perm.RUN_VIEW, members, field="workspace_id"))
        users = list(
            access.scope(actor, Perm.RUN_VIEW, User.objects.all(), field="memberships__workspace")
        )
    assert len(queries) == 3
    assert through_key == by_column
    assert {row.workspace_id for row in through_key} == {cast.acme.pk}
    assert len(through_key) == 7
    assert {user.username for user in users} == {
        "approver",
        "admin", "author", "operator", "viewer", "auditor", "inactive",
    }  # fmt: skip


def test_groups_give_permissions_too(cast: Cast) -> None:
    group = Group.objects.create(name="watchers")
    cast.users["nobody"].groups.add(group)
    WorkspaceGroupPermission.objects.create(
        group=group,
        content_object=cast.acme,
        permission=Permission.objects.get(codename="run_view"),
    )
    actor = cast.actor("nobody")
    assert access.permissions_of(actor, cast.acme) == {Perm.RUN_VIEW}
    assert access.permissions_by_workspace(actor) == {cast.acme.pk: {Perm.RUN_VIEW}}
    assert list(access.permitted_workspace_ids(actor, Perm.RUN_VIEW)) == [cast.acme.pk]
    User.objects.filter(username="nobody").update(is_active=False)
    assert access.permissions_of(actor, cast.acme) == frozenset()
    assert not access.permitted_workspace_ids(actor, Perm.RUN_VIEW).exists()


def test_what_is_held_somewhere_is_what_a_workspace_is_found_for(cast: Cast) -> None:
    """Of people, groups and tokens that narrow, with one question and not one a permission."""
    group = Group.objects.create(name="watchers")
    cast.users["nobody"].groups.add(group)
    WorkspaceGroupPermission.objects.create(
        group=group,
        content_object=cast.other,
        permission=Permission.objects.get(codename="run_view"),
    )
    actors = [cast.actor(name) for name in cast.users]
    actors += [
        cast.narrowed("operator", scopes=["run.view"]),
        cast.narrowed("operator", workspace=cast.acme),
        cast.narrowed("root", workspace=cast.other, scopes=["run.view", "activity.view"]),
        SYSTEM,
    ]
    found = {}
    for actor in actors:
        with CaptureQueriesContext(connection) as queries:
            held = access.permissions_somewhere(actor)
        assert len(queries) <= 1
        assert held == {
            perm for perm in Perm if access.permitted_workspace_ids(actor, perm).exists()
        }
        found[actor.username] = held
    assert found["nobody"] == {Perm.RUN_VIEW}
    assert not found["inactive"]
    Workspace.objects.all().delete()
    assert access.permissions_somewhere(cast.actor("root")) == frozenset()


def test_guardian_itself_agrees(cast: Cast) -> None:
    viewer = cast.users["viewer"]
    assert set(get_perms(viewer, cast.acme)) == {perm.codename for perm in BUILTIN_ROLES["viewer"]}
    assert list(get_objects_for_user(viewer, "governance.run_view")) == [cast.acme]
    assert viewer.has_perm("governance.run_view", cast.acme)
    assert not viewer.has_perm("governance.run_start", cast.acme)


def test_tokens_of_every_condition(cast: Cast) -> None:
    soon = clock.now() + timedelta(hours=1)
    secret = cast.token("admin", expires_at=soon)
    actor = access.actor_from_token(secret)
    assert (actor.username, actor.scopes, actor.workspace_id) == ("admin", None, None)

    with clock.shifted(timedelta(hours=2)), pytest.raises(TokenExpiredError, match="expired on"):
        access.actor_from_token(secret)
    access.clear_credentials()
    with clock.shifted(timedelta(hours=2)), pytest.raises(TokenExpiredError):
        access.actor_from_token(secret)

    token_revoke(actor, token=cast.stored(secret))
    access.clear_credentials()
    with pytest.raises(TokenRevokedError):
        access.actor_from_token(secret)

    with pytest.raises(TokenInvalidError):
        access.actor_from_token(secret + "x")
    with pytest.raises(TokenInvalidError):
        access.actor_from_token("something else")
    with pytest.raises(TokenInvalidError):
        access.actor_from_token("agk_" + "x" * 500)


def test_a_token_of_an_inactive_user_is_not_valid(cast: Cast) -> None:
    secret = cast.token("viewer")
    User.objects.filter(username="viewer").update(is_active=False)
    with pytest.raises(TokenInvalidError):
        access.actor_from_token(secret)


def test_use_is_noted_at_most_once_a_minute(cast: Cast) -> None:
    secret = cast.token("viewer")
    assert cast.stored(secret).last_used_at is None
    access.actor_from_token(secret)
    first = cast.stored(secret).last_used_at
    assert first is not None

    access.clear_credentials()
    with CaptureQueriesContext(connection) as queries:
        access.actor_from_token(secret)
    assert len(queries) == 1
    assert cast.stored(secret).last_used_at == first

    access.clear_credentials()
    with clock.shifted(timedelta(seconds=61)):
        access.actor_from_token(secret)
    second = cast.stored(secret).last_used_at
    assert second is not None
    assert second > first + timedelta(seconds=60)


def test_the_secret_is_stored_nowhere(cast: Cast) -> None:
    secret = cast.token("viewer")
    row = ApiToken.objects.filter(pk=cast.stored(secret).pk).values().get()
    assert not any(secret[4:] in str(value) for value in row.values())
    assert row["prefix"] == secret[:12]
    assert len(secret) == 47


def test_syncing_roles_again_changes_nothing_and_heals_what_differs(cast: Cast) -> None:
    before = WorkspaceUserPermission.objects.count()
    builtin_roles_sync()
    assert WorkspaceUserPermission.objects.count() == before
    assert Role.objects.filter(workspace=None).count() == len(BUILTIN_ROLES)

    Role.objects.filter(name="viewer").update(permissions=["run.view", "gone.forever"])
    builtin_roles_sync()
    assert Role.objects.get(name="viewer").permissions == sorted(BUILTIN_ROLES["viewer"])
    assert WorkspaceUserPermission.objects.count() == before


def test_payload_is_a_permission_of_its_own(cast: Cast) -> None:
    assert access.may_see_payload(cast.actor("operator"), cast.acme)
    assert not access.may_see_payload(cast.actor("viewer"), cast.acme)


def test_the_actor_of_a_stored_user_is_the_user_as_now(cast: Cast) -> None:
    assert access.actor_of_user_id(cast.users["root"].pk).is_superuser
    User.objects.filter(username="root").update(is_active=False)
    assert not access.actor_of_user_id(cast.users["root"].pk).is_superuser
    with pytest.raises(NotFoundError):
        access.actor_of_user_id(uuid5(cast.acme.pk, "none"))
