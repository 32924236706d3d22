"""People, workspaces and tokens for tests, made through the services that make real ones."""

from dataclasses import dataclass, field
from datetime import datetime

from governance.access import actor_from_token, actor_of_user
from governance.contracts import SYSTEM, Actor
from governance.models import ApiToken, Membership, User, Workspace
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


def make_cast() -> Cast:
    """An admin, an author, an operator, an approver, a viewer and an auditor of `acme`; an
    outsider, who is admin of `other`; somebody inactive with all rights; somebody without any; a
    superuser."""
    acme, other = make_workspace("acme"), make_workspace("other")
    members = {
        name: join(acme, name, name)
        for name in ("admin", "author", "operator", "approver", "viewer", "auditor")
    }
    members["outsider"] = join(other, "outsider", "admin")
    members["inactive"] = join(acme, "inactive", "admin")
    User.objects.filter(username="inactive").update(is_active=False)
    make_user("nobody")
    make_user("root", is_superuser=True)
    users = {user.username: user for user in User.objects.all()}
    return Cast(acme=acme, other=other, users=users, members=members)
