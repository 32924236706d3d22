"""What services refuse, what they change, and what the activity log says about it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection

from core import clock
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)
from core.events import subscribe
from governance import access
from governance.access import AccessChanged
from governance.contracts import SYSTEM, Perm
from governance.errors import EscalationError, LastAdminError, NameTakenError
from governance.models import ApiToken, Membership, Role, User, Workspace
from governance.selectors.activity import activity_list
from governance.selectors.tokens import token_list
from governance.selectors.users import user_list
from governance.selectors.workspaces import member_list, role_list, workspace_get, workspace_list
from governance.services.members import member_add, member_remove, membership_set_roles
from governance.services.roles import role_create, role_delete, role_update
from governance.services.tokens import token_issue, token_revoke
from governance.services.users import user_create, user_update
from governance.services.workspaces import workspace_create, workspace_update
from tests.factories.governance import PASSWORD, Cast, make_cast

STRONG = "a long and unusual phrase"


def _state() -> dict[str, Any]:
    """Everything that says who may do what."""
    return {
        "members": {
            (row.workspace.name, row.user.username): sorted(role.name for role in row.roles.all())
            for row in Membership.objects.all()
        },
        "roles": list(Role.objects.order_by("pk").values_list("name", "permissions")),
        "tokens": ApiToken.objects.count(),
        "grants": {
            user.username: access.permissions_by_workspace(access.actor_of_user(user))
            for user in User.objects.all()
        },
        "workspaces": list(Workspace.objects.values_list("name", "title")),
    }


REFUSED: dict[str, tuple[Callable[[Cast], object], type[Exception]]] = {
    "a viewer adds a member": (
        lambda c: member_add(c.actor("viewer"), workspace=c.acme, username="nobody", roles=[]),
        PermissionDeniedError,
    ),
    "an outsider adds a member": (
        lambda c: member_add(c.actor("outsider"), workspace=c.acme, username="nobody", roles=[]),
        NotFoundError,
    ),
    "an admin adds an inactive user": (
        lambda c: member_add(c.actor("admin"), workspace=c.acme, username="ghost", roles=[]),
        NotFoundError,
    ),
    "a member is added twice": (
        lambda c: member_add(c.actor("admin"), workspace=c.acme, username="viewer", roles=[]),
        NameTakenError,
    ),
    "an unknown role": (
        lambda c: member_add(c.actor("admin"), workspace=c.acme, username="nobody", roles=["king"]),
        InvalidInputError,
    ),
    "the last admin leaves": (
        lambda c: member_remove(c.actor("admin"), membership=c.members["admin"]),
        LastAdminError,
    ),
    "the last admin is demoted": (
        lambda c: membership_set_roles(
            c.actor("admin"), membership=c.members["admin"], roles=["viewer"]
        ),
        LastAdminError,
    ),
    "an operator promotes herself": (
        lambda c: membership_set_roles(
            c.actor("operator"), membership=c.members["operator"], roles=["admin"]
        ),
        PermissionDeniedError,
    ),
    "an outsider removes a member": (
        lambda c: member_remove(c.actor("outsider"), membership=c.members["viewer"]),
        NotFoundError,
    ),
    "a built-in role changes": (
        lambda c: role_update(
            c.actor("admin"), role=Role.objects.get(name="viewer"), permissions=["run.start"]
        ),
        PermissionDeniedError,
    ),
    "a built-in role is deleted": (
        lambda c: role_delete(c.actor("admin"), role=Role.objects.get(name="viewer")),
        PermissionDeniedError,
    ),
    "a role takes a built-in name": (
        lambda c: role_create(c.actor("admin"), workspace=c.acme, name="viewer", permissions=[]),
        NameTakenError,
    ),
    "a role of unknown permissions": (
        lambda c: role_create(c.actor("admin"), workspace=c.acme, name="x", permissions=["fly"]),
        InvalidInputError,
    ),
    "a member makes a workspace": (
        lambda c: workspace_create(c.actor("admin"), name="mine"),
        PermissionDeniedError,
    ),
    "a taken workspace name": (
        lambda c: workspace_create(c.actor("root"), name="acme"),
        NameTakenError,
    ),
    "a rename to a taken name": (
        lambda c: workspace_update(c.actor("admin"), workspace=c.acme, name="other"),
        NameTakenError,
    ),
    "an author renames the workspace": (
        lambda c: workspace_update(c.actor("author"), workspace=c.acme, name="new"),
        PermissionDeniedError,
    ),
    "a token beyond its owner": (
        lambda c: token_issue(c.actor("viewer"), name="t", scopes=["run.start"]),
        EscalationError,
    ),
    "a token beyond its owner in the workspace": (
        lambda c: token_issue(c.actor("viewer"), name="t", workspace=c.acme, scopes=["run.start"]),
        EscalationError,
    ),
    "a token for a workspace not seen": (
        lambda c: token_issue(c.actor("viewer"), name="t", workspace=c.other),
        NotFoundError,
    ),
    "a token in the past": (
        lambda c: token_issue(
            c.actor("viewer"), name="t", expires_at=clock.now() - timedelta(seconds=1)
        ),
        InvalidInputError,
    ),
    "a token without a name": (
        lambda c: token_issue(c.actor("viewer"), name=" "),
        InvalidInputError,
    ),
    "a token with an unknown scope": (
        lambda c: token_issue(c.actor("viewer"), name="t", scopes=["fly"]),
        InvalidInputError,
    ),
    "a token for somebody else": (
        lambda c: token_issue(c.actor("admin"), name="t", user_id=c.users["viewer"].pk),
        PermissionDeniedError,
    ),
    "a token of the system": (lambda c: token_issue(SYSTEM, name="t"), NotFoundError),
    "an admin makes a user": (
        lambda c: user_create(c.actor("admin"), username="new", password=STRONG),
        PermissionDeniedError,
    ),
    "a weak password": (
        lambda c: user_create(c.actor("root"), username="new", password="12345678"),
        InvalidInputError,
    ),
    "a person without a password": (
        lambda c: user_create(c.actor("root"), username="new"),
        InvalidInputError,
    ),
    "a service account with a password": (
        lambda c: user_create(c.actor("root"), username="new", password=STRONG, is_service=True),
        InvalidInputError,
    ),
    "a taken user name": (
        lambda c: user_create(c.actor("root"), username="viewer", password=STRONG),
        NameTakenError,
    ),
    "a superuser deactivates herself": (
        lambda c: user_update(c.actor("root"), user=c.users["root"], is_active=False),
        ConflictError,
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_refused_changes_nothing(cast: Cast, case: str) -> None:
    work, error = REFUSED[case]
    before = _state()
    with pytest.raises(error) as refused:
        work(cast)
    assert refused.type is error
    assert _state() == before


def test_nobody_grants_what_they_do_not_hold(cast: Cast) -> None:
    manager = role_create(
        cast.actor("admin"),
        workspace=cast.acme,
        name="manager",
        permissions=["workspace.view", "workspace.manage", "run.view"],
    )
    membership_set_roles(cast.actor("admin"), membership=cast.members["viewer"], roles=["manager"])
    limited = cast.actor("viewer")
    before = _state()
    for attempt in (
        lambda: member_add(limited, workspace=cast.acme, username="nobody", roles=["operator"]),
        lambda: membership_set_roles(limited, membership=cast.members["viewer"], roles=["admin"]),
        lambda: role_create(limited, workspace=cast.acme, name="x", permissions=["run.start"]),
        lambda: role_update(limited, role=manager, permissions=["run.view", "run.start"]),
    ):
        with pytest.raises(EscalationError):
            attempt()
    assert _state() == before

    membership_set_roles(limited, membership=cast.members["operator"], roles=["operator"])
    added = member_add(limited, workspace=cast.acme, username="nobody", roles=["manager"])
    assert access.permissions_of(cast.actor("nobody"), cast.acme) == {
        Perm.WORKSPACE_VIEW,
        Perm.WORKSPACE_MANAGE,
        Perm.RUN_VIEW,
    }
    member_remove(cast.actor("nobody"), membership=added)
    assert access.permissions_of(cast.actor("nobody"), cast.acme) == frozenset()


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
    assert names == {"admin", "author", "auditor", "operator", "viewer"}


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
    user = user_create(cast.actor("root"), username="new", password=STRONG, email="new@example.org")
    assert access.permissions_by_workspace(access.actor_of_user(user)) == {}
    changed = user_update(
        cast.actor("root"), user=user, email="", is_active=False, is_staff=True, password=PASSWORD
    )
    assert (changed.email, changed.is_active, changed.is_staff) == ("", False, True)
    assert changed.check_password(PASSWORD)


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


def test_activity_names_who_changed_what(cast: Cast) -> None:
    LogEntry.objects.all().delete()
    actor = cast.narrowed("admin")
    workspace_update(actor, workspace=cast.acme, title="The Acme")
    entry = LogEntry.objects.get(content_type__model="workspace")
    assert entry.changes_dict == {"title": ["", "The Acme"]}
    assert entry.additional_data == {
        "workspace": str(cast.acme.pk),
        "by": "admin",
        "by_id": str(cast.users["admin"].pk),
        "token": str(actor.token_id),
    }
    token_issued = LogEntry.objects.get(content_type__model="apitoken")
    assert "digest" not in token_issued.changes_dict


def test_activity_of_roles_and_passwords(cast: Cast) -> None:
    LogEntry.objects.all().delete()
    membership_set_roles(cast.actor("admin"), membership=cast.members["viewer"], roles=["operator"])
    changes = [entry.changes_dict["roles"] for entry in LogEntry.objects.order_by("pk")]
    assert [(change["operation"], change["objects"]) for change in changes] == [
        ("delete", ["viewer"]),
        ("add", ["operator"]),
    ]
    LogEntry.objects.all().delete()
    user_update(cast.actor("root"), user=cast.users["viewer"], password=STRONG)
    entry = LogEntry.objects.get()
    stored = User.objects.get(username="viewer").password
    assert stored not in str(entry.changes_dict)
    assert set(entry.changes_dict) == {"password"}


def test_activity_is_scoped(cast: Cast) -> None:
    workspace_update(cast.actor("outsider"), workspace=cast.other, title="Other")
    seen = {
        name: {
            (entry.additional_data or {}).get("workspace")
            for entry in activity_list(cast.actor(name))
        }
        for name in ("auditor", "outsider", "viewer", "nobody")
    }
    assert seen == {
        "auditor": {str(cast.acme.pk)},
        "outsider": {str(cast.other.pk)},
        "viewer": set(),
        "nobody": set(),
    }
    assert None in {
        (entry.additional_data or {}).get("workspace")
        for entry in activity_list(cast.actor("root"))
    }


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
