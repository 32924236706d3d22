"""People, workspaces and tokens for tests, as the services make them."""

from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission

from governance.access import actor_from_token, actor_of_user
from governance.contracts import BUILTIN_ROLES, SYSTEM, Actor
from governance.models import (
    ApiToken,
    Membership,
    Role,
    User,
    Workspace,
    WorkspaceUserPermission,
)
from governance.services.members import member_add
from governance.services.tokens import IssuedToken, token_issue
from governance.services.workspaces import workspace_create

PASSWORD = "correct horse battery staple"
OTHER_PASSWORD = "a long and unusual phrase"


def make_user(username: str, *, is_superuser: bool = False, is_staff: bool = False) -> User:
    return User.objects.create_user(
        username=username,
        password=PASSWORD,
        is_superuser=is_superuser,
        is_staff=is_staff or is_superuser,
    )


def make_workspace(name: str = "acme") -> Workspace:
    return workspace_create(SYSTEM, name=name)


def join(workspace: Workspace, username: str, *roles: str) -> Membership:
    """Make a new user a member with these roles."""
    user = User.objects.filter(username=username).first() or make_user(username)
    return member_add(SYSTEM, workspace=workspace, username=user.username, roles=roles)


def issue(
    user: User,
    *,
    workspace: Workspace | None = None,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
) -> IssuedToken:
    return token_issue(
        actor_of_user(user), name="test", workspace=workspace, scopes=scopes, expires_at=expires_at
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Two workspaces and everybody who may or may not do something in the first."""

    acme: Workspace
    other: Workspace
    users: dict[str, User] = field(default_factory=dict)
    members: dict[str, Membership] = field(default_factory=dict)

    def actor(self, name: str) -> Actor:
        return actor_of_user(User.objects.get(username=name))

    def token(self, name: str, **options: object) -> str:
        """Issue a token to one of the cast; return its secret."""
        return issue(self.users[name], **options).secret  # type: ignore[arg-type]  # passed on

    def narrowed(self, name: str, **options: object) -> Actor:
        return actor_from_token(self.token(name, **options))

    def stored(self, secret: str) -> ApiToken:
        return ApiToken.objects.get(prefix=secret[:12])


MEMBERS = ("admin", "author", "operator", "approver", "viewer", "auditor")


def make_cast() -> Cast:
    """An admin, an author, an operator, an approver, a viewer and an auditor of `acme`; an
    outsider, who is admin of `other`; somebody inactive with all rights; somebody without any; a
    superuser.

    The rows are those the services make, written at once: two hundred statements less for each of
    the many tests that begin with them. How they came about is in no record.
    """
    acme, other = Workspace.objects.bulk_create([Workspace(name="acme"), Workspace(name="other")])
    hashed = make_password(PASSWORD)
    users = User.objects.bulk_create(
        User(
            username=name,
            password=hashed,
            is_active=name != "inactive",
            is_superuser=name == "root",
            is_staff=name == "root",
        )
        for name in (*MEMBERS, "outsider", "inactive", "nobody", "root")
    )
    named = {user.username: user for user in users}
    places = {name: (acme, name) for name in MEMBERS}
    places |= {"outsider": (other, "admin"), "inactive": (acme, "admin")}
    members = {
        name: Membership(workspace=workspace, user=named[name])
        for name, (workspace, _) in places.items()
    }
    Membership.objects.bulk_create(members.values())
    roles = dict(Role.objects.filter(workspace=None).values_list("name", "pk"))
    Membership.roles.through.objects.bulk_create(
        Membership.roles.through(membership_id=member.pk, role_id=roles[places[name][1]])
        for name, member in members.items()
    )
    ids = dict(
        Permission.objects.filter(
            content_type__app_label="governance", content_type__model="workspace"
        ).values_list("codename", "pk")
    )
    WorkspaceUserPermission.objects.bulk_create(
        WorkspaceUserPermission(
            user=named[name], content_object=workspace, permission_id=ids[perm.codename]
        )
        for name, (workspace, role) in places.items()
        for perm in BUILTIN_ROLES[role]
    )
    return Cast(acme=acme, other=other, users=named, members=members)
