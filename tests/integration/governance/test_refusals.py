"""What services refuse, and that nothing has changed then."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from core.errors import ConflictError, InvalidInputError, NotFoundError, PermissionDeniedError
from governance import access
from governance.contracts import SYSTEM, Perm
from governance.errors import EscalationError, LastAdminError, NameTakenError
from governance.models import ApiToken, Membership, Role, User, Workspace
from governance.services.members import member_add, member_remove, membership_set_roles
from governance.services.roles import role_create, role_delete, role_update
from governance.services.tokens import token_issue
from governance.services.users import user_create, user_update
from governance.services.workspaces import workspace_create, workspace_update
from tests.factories.governance import OTHER_PASSWORD, Cast


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
        lambda c: user_create(c.actor("admin"), username="new", password=OTHER_PASSWORD),
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
        lambda c: user_create(
            c.actor("root"), username="new", password=OTHER_PASSWORD, is_service=True
        ),
        InvalidInputError,
    ),
    "a taken user name": (
        lambda c: user_create(c.actor("root"), username="viewer", password=OTHER_PASSWORD),
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
