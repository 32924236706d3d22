"""REST views of governance. Each only finds its rows and calls a service."""

from typing import Any

from auditlog.models import LogEntry
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from governance import access
from governance.api import serializers
from governance.contracts import Perm
from governance.guard.viewsets import (
    CreateMixin,
    DestroyMixin,
    GuardedViewSet,
    ListMixin,
    RetrieveMixin,
    UpdateMixin,
)
from governance.models import ApiToken, Membership, Role, User, Workspace
from governance.selectors.activity import activity_list
from governance.selectors.tokens import token_in_use, token_list
from governance.selectors.workspaces import (
    member_list,
    role_list,
    workspace_get,
    workspace_list,
)
from governance.services.members import member_add, member_remove, membership_set_roles
from governance.services.roles import role_create, role_delete, role_update
from governance.services.tokens import token_issue, token_revoke
from governance.services.users import user_create, user_update
from governance.services.workspaces import (
    require_site_admin,
    workspace_create,
    workspace_update,
)


class MeViewSet(GuardedViewSet):
    perms = {"retrieve": None}
    serializer_class = serializers.MeSerializer

    def retrieve(self, request: Request) -> Response:
        actor = self.actor
        held = access.permissions_by_workspace(actor)
        rows = Workspace.objects.filter(pk__in=held).order_by("name")
        document = {
            "user": {
                "id": actor.user_id,
                "username": actor.username,
                "is_superuser": actor.is_superuser,
            },
            "token": token_in_use(actor),
            "workspaces": [
                {
                    "id": row.pk,
                    "name": row.name,
                    "title": row.title,
                    "permissions": sorted(held[row.pk]),
                }
                for row in rows
            ],
        }
        return Response(serializers.MeSerializer(document).data)


class WorkspaceViewSet(ListMixin, RetrieveMixin, CreateMixin, UpdateMixin):
    perms = {
        "list": Perm.WORKSPACE_VIEW,
        "retrieve": Perm.WORKSPACE_VIEW,
        "create": None,  # a superuser's: the service decides
        "partial_update": Perm.WORKSPACE_MANAGE,
    }
    queryset = Workspace.objects.all()
    serializer_class = serializers.WorkspaceSerializer
    input_serializers = {
        "create": serializers.WorkspaceInput,
        "partial_update": serializers.WorkspaceInput,
    }
    workspace_path = "pk"

    def get_queryset(self) -> QuerySet[Any]:
        return workspace_list(self.actor) if self.perm is None else super().get_queryset()

    def get_object(self) -> Any:
        self.kwargs["pk"] = workspace_get(self.actor, ref=str(self.kwargs["workspace"])).pk
        return super().get_object()

    def perform_create(self, data: dict[str, Any]) -> Workspace:
        return workspace_create(self.actor, **data)

    def perform_update(self, row: Workspace, data: dict[str, Any]) -> Workspace:
        return workspace_update(self.actor, workspace=row, **data)


class MemberViewSet(ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin):
    perms = {
        "list": Perm.WORKSPACE_VIEW,
        "retrieve": Perm.WORKSPACE_VIEW,
        "create": Perm.WORKSPACE_MANAGE,
        "partial_update": Perm.WORKSPACE_MANAGE,
        "destroy": Perm.WORKSPACE_VIEW,  # members may leave; the service asks for more otherwise
    }
    queryset = Membership.objects.all()
    serializer_class = serializers.MemberSerializer
    input_serializers = {
        "create": serializers.MemberInput,
        "partial_update": serializers.RolesInput,
    }

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return Membership.objects.none()
        return member_list(self.actor, workspace=self.get_workspace())

    def perform_create(self, data: dict[str, Any]) -> Membership:
        return member_add(self.actor, workspace=self.get_workspace(), **data)

    def perform_update(self, row: Membership, data: dict[str, Any]) -> Membership:
        return membership_set_roles(self.actor, membership=row, **data) if data else row

    def perform_destroy(self, row: Membership) -> None:
        member_remove(self.actor, membership=row)


class RoleViewSet(ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin):
    perms = {
        "list": Perm.WORKSPACE_VIEW,
        "retrieve": Perm.WORKSPACE_VIEW,
        "create": Perm.WORKSPACE_MANAGE,
        "partial_update": Perm.WORKSPACE_MANAGE,
        "destroy": Perm.WORKSPACE_MANAGE,
    }
    queryset = Role.objects.all()
    serializer_class = serializers.RoleSerializer
    input_serializers = {
        "create": serializers.RoleInput,
        "partial_update": serializers.RoleInput,
    }

    def get_queryset(self) -> QuerySet[Any]:
        """Return the workspace's roles and the built-in ones, which have no workspace."""
        if self.is_described:
            return Role.objects.none()
        return role_list(self.actor, workspace=self.get_workspace())

    visible_rows = get_queryset

    def perform_create(self, data: dict[str, Any]) -> Role:
        return role_create(self.actor, workspace=self.get_workspace(), **data)

    def perform_update(self, row: Role, data: dict[str, Any]) -> Role:
        return role_update(self.actor, role=row, **data)

    def perform_destroy(self, row: Role) -> None:
        role_delete(self.actor, role=row)


class TokenViewSet(ListMixin, RetrieveMixin, CreateMixin, DestroyMixin):
    """API tokens: one's own, and those one manages. Only `create` ever shows the secret."""

    perms = {"list": None, "retrieve": None, "create": None, "destroy": None}
    queryset = ApiToken.objects.all()
    serializer_class = serializers.TokenSerializer
    input_serializers = {"create": serializers.TokenInput}
    unkeyed_actions = frozenset({"create"})

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_described:
            return ApiToken.objects.none()
        return token_list(self.actor)

    visible_rows = get_queryset

    @extend_schema(responses={201: serializers.IssuedTokenSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = self.checked()
        name = data.pop("workspace", None)
        workspace = None if name is None else workspace_get(self.actor, ref=name)
        issued = token_issue(self.actor, workspace=workspace, **data)
        body = {**self.representation(issued.token), "secret": issued.secret}
        headers = {"Cache-Control": "no-store"}
        return Response(body, status=status.HTTP_201_CREATED, headers=headers)

    @extend_schema(
        description="Revoke the token; it stays in the list with its time of revocation."
    )
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)

    def perform_destroy(self, row: ApiToken) -> None:
        token_revoke(self.actor, token=row)


class ActivityViewSet(ListMixin):
    """What changed, newest first."""

    perms = {"list": Perm.ACTIVITY_VIEW}
    queryset = LogEntry.objects.all()
    serializer_class = serializers.ActivitySerializer

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_described:
            return self.rows().none()
        return activity_list(self.actor)


class UserViewSet(ListMixin, RetrieveMixin, CreateMixin, UpdateMixin):
    """People and service accounts; a superuser's."""

    perms = {"list": None, "retrieve": None, "create": None, "partial_update": None}
    queryset = User.objects.all()
    serializer_class = serializers.UserSerializer
    input_serializers = {
        "create": serializers.UserInput,
        "partial_update": serializers.UserChange,
    }

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_described:
            return User.objects.none()
        require_site_admin(self.actor, "see all users")
        return User.objects.all()

    visible_rows = get_queryset

    def perform_create(self, data: dict[str, Any]) -> User:
        return user_create(self.actor, **data)

    def perform_update(self, row: User, data: dict[str, Any]) -> User:
        return user_update(self.actor, user=row, **data)
