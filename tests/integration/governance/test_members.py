"""Members, roles and workspaces: what a change gives and takes, and who hears of it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from core.errors import InvalidInputError, NotFoundError, PermissionDeniedError
from core.events import subscribe
from governance import access
from governance.access import AccessChanged
from governance.contracts import SYSTEM, Perm
from governance.errors import LastAdminError, NameTakenError
from governance.models import Membership, User
from governance.selectors.users import user_list
from governance.selectors.workspaces import member_list, role_list, workspace_get, workspace_list
from governance.services.members import member_add, member_remove, membership_set_roles
from governance.services.roles import role_create, role_delete, role_update
from governance.services.tokens import token_revoke
from governance.services.workspaces import workspace_create
from tests.factories.governance import Cast, make_cast


def test_grants_follow_a_role_that_changes_and_ends(cast: Cast) -> None:
    admin = cast.actor("admin")
    role = role_create(admin, workspace=cast.acme, name="starter", permissions=["run.start"])
    membership_set_roles(admin, membership=cast.members["viewer"], roles=["starter", "auditor"])
    assert Perm.RUN_START in access.permissions_of(cast.actor("viewer"), cast.acme)

    role_update(admin, role=role, name="controller", permissions=["run.control"])
    perms = access.permissions_of(cast.actor("viewer"), cast.acme)
    assert Perm.RUN_CONTROL in perms
    assert Perm.RUN_START not in perms
    with pytest.raises(NameTakenError):
        role_update(admin, role=role, name="auditor")

    role_delete(admin, role=role)
    perms = access.permissions_of(cast.actor("viewer"), cast.acme)
    assert Perm.RUN_CONTROL not in perms
    assert Perm.ACTIVITY_VIEW in perms


def test_a_role_of_one_workspace_is_unknown_in_another(cast: Cast) -> None:
    role_create(cast.actor("admin"), workspace=cast.acme, name="local", permissions=["run.view"])
    with pytest.raises(InvalidInputError, match="no role local"):
        member_add(cast.actor("outsider"), workspace=cast.other, username="nobody", roles=["local"])
    names = {role.name for role in role_list(cast.actor("outsider"), workspace=cast.other)}
    assert names == {"admin", "approver", "author", "auditor", "operator", "viewer"}


def test_members_may_leave_and_lose_everything(cast: Cast) -> None:
    member_remove(cast.actor("viewer"), membership=cast.members["viewer"])
    assert access.permissions_of(cast.actor("viewer"), cast.acme) == frozenset()
    with pytest.raises(NotFoundError):
        member_remove(cast.actor("admin"), membership=cast.members["viewer"])


def test_whoever_creates_a_workspace_is_its_admin(cast: Cast) -> None:
    workspace = workspace_create(cast.actor("root"), name="new", title="New")
    member = Membership.objects.get(workspace=workspace)
    assert (member.user.username, [role.name for role in member.roles.all()]) == ("root", ["admin"])
    with pytest.raises(PermissionDeniedError):
        workspace_create(cast.narrowed("root", scopes=["workspace.manage"]), name="newer")


def test_selectors_show_only_what_is_shared(cast: Cast) -> None:
    assert list(workspace_list(cast.actor("viewer"))) == [cast.acme]
    assert workspace_get(cast.actor("viewer"), ref="acme") == cast.acme
    assert workspace_get(cast.actor("viewer"), ref=str(cast.acme.pk)) == cast.acme
    assert workspace_get(cast.actor("viewer"), ref=cast.acme.pk) == cast.acme
    for ref in ("other", str(cast.other.pk), "no-such", "Not A Name", "a\x00b", "x" * 36):
        with pytest.raises(NotFoundError):
            workspace_get(cast.actor("viewer"), ref=ref)
    assert {row.user.username for row in member_list(cast.actor("outsider"))} == {"outsider"}
    assert {user.username for user in user_list(cast.actor("outsider"))} == {"outsider"}
    assert user_list(cast.actor("root")).count() == User.objects.count()


def test_changes_are_announced_and_caches_forget(
    cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[AccessChanged] = []
    stop = subscribe(AccessChanged, heard.append)
    secret = cast.token("viewer")
    actor = access.actor_from_token(secret)
    assert access.permission_cache.can(actor, Perm.RUN_VIEW, cast.acme.pk)
    assert access.permission_cache.peek(actor, Perm.RUN_VIEW, cast.acme.pk) is True
    assert access.peek_actor(secret) == actor

    with django_capture_on_commit_callbacks(execute=True):
        member_remove(cast.actor("admin"), membership=cast.members["viewer"])
    assert access.permission_cache.peek(actor, Perm.RUN_VIEW, cast.acme.pk) is None
    assert not access.permission_cache.can(actor, Perm.RUN_VIEW, cast.acme.pk)

    access.actor_from_token(secret)
    with django_capture_on_commit_callbacks(execute=True):
        token_revoke(actor, token=cast.stored(secret))
    assert access.peek_actor(secret) is None
    stop()
    assert [(change.user_ids, change.token_ids) for change in heard] == [
        ({cast.users["viewer"].pk}, frozenset()),
        (frozenset(), {actor.token_id}),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_admins_removed_at_once_leave_one() -> None:
    cast = make_cast()
    first = cast.members["admin"]
    second = membership_set_roles(SYSTEM, membership=cast.members["operator"], roles=["admin"])
    is_inside, may_go_on = threading.Event(), threading.Event()
    outcomes: dict[str, BaseException | None] = {}

    def remove(name: str, membership: Membership, pause: Callable[[], None]) -> None:
        try:
            member_remove(SYSTEM, membership=membership, pause=pause)
            outcomes[name] = None
        except LastAdminError as error:
            outcomes[name] = error
        finally:
            connection.close()

    def hold() -> None:
        is_inside.set()
        assert may_go_on.wait(10)

    slow = threading.Thread(target=remove, args=("slow", first, hold))
    slow.start()
    assert is_inside.wait(10)
    # The first one has looked and not yet deleted; the second one must wait for its lock.
    late = threading.Thread(target=remove, args=("late", second, lambda: None))
    late.start()
    may_go_on.set()
    slow.join(15)
    late.join(15)

    assert outcomes["slow"] is None
    assert isinstance(outcomes["late"], LastAdminError)
    admins = Membership.objects.filter(
        workspace=cast.acme, roles__name="admin", user__is_active=True
    )
    assert [row.user.username for row in admins] == ["operator"]
