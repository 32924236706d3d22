"""Rows that tests begin with are what the services make."""

import pytest

from governance.contracts import SYSTEM
from governance.models import (
    Membership,
    Role,
    User,
    Workspace,
    WorkspaceUserPermission,
)
from governance.services.members import member_add
from governance.services.workspaces import workspace_create
from tests.emptying import filled_tables
from tests.factories.governance import MEMBERS, PASSWORD, Cast, make_user

# What the services write of their deeds, which nothing refers to.
RECORDS = {"auditlog_logentry", "governance_auditentry", "governance_audithead"}
GIVEN = {"id", "user_ptr", "password", "created_at", "date_joined", "secrets_stamp"}


def told() -> dict[str, object]:
    """All that stands there, by names instead of ids and moments."""
    return {
        "tables": set(filled_tables()) - RECORDS,
        "workspaces": [_plain(row) for row in Workspace.objects.order_by("name")],
        "users": [_plain(row) for row in User.objects.order_by("username")],
        "members": sorted(
            (row.workspace.name, row.user.username, [role.name for role in row.roles.all()])
            for row in Membership.objects.select_related("user", "workspace")
        ),
        "grants": sorted(
            WorkspaceUserPermission.objects.values_list(
                "user__username", "content_object__name", "permission__codename"
            )
        ),
    }


def _plain(row: Workspace | User) -> dict[str, object]:
    return {
        field.name: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.name not in GIVEN
    }


@pytest.mark.django_db
def test_a_cast_is_what_the_services_make(cast: Cast) -> None:
    quick = told()
    assert User.objects.get(username="viewer").check_password(PASSWORD)
    for model in (WorkspaceUserPermission, Membership, Workspace, User):
        model.objects.all().delete()

    acme, other = (workspace_create(SYSTEM, name=name) for name in ("acme", "other"))
    for name in (*MEMBERS, "outsider", "inactive", "nobody", "root"):
        make_user(name, is_superuser=name == "root")
    for name in MEMBERS:
        member_add(SYSTEM, workspace=acme, username=name, roles=[name])
    member_add(SYSTEM, workspace=other, username="outsider", roles=["admin"])
    member_add(SYSTEM, workspace=acme, username="inactive", roles=["admin"])
    User.objects.filter(username="inactive").update(is_active=False)

    assert told() == quick
    assert Role.objects.exclude(workspace=None).count() == 0
    assert set(cast.users) == set(User.objects.values_list("username", flat=True))
