"""Guarded: a REST view answers only actions whose permission it has declared."""

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from core.errors import PermissionDeniedError
from governance.contracts import Perm
from governance.guard.authentication import actor_of

if TYPE_CHECKING:  # its module reads the settings that name this class
    from rest_framework.views import APIView


def action_of(view: "APIView", request: Request) -> str:
    """Return the name under which the view declares a permission.

    Raises:
        MethodNotAllowed: the address has no such method.
    """
    action_map: dict[str, str] | None = getattr(view, "action_map", None)
    method = str(request.method).lower()
    if action_map is None:
        if method == "options" or not hasattr(view, method):
            raise MethodNotAllowed(str(request.method))
        return method
    wanted = "get" if method == "head" and "head" not in action_map else method
    if wanted not in action_map:
        raise MethodNotAllowed(str(request.method))
    return action_map[wanted]


def declared_perm(view: "APIView", action: str) -> Perm | None:
    """Return the permission of an action; None means any signed-in actor.

    Raises:
        PermissionDeniedError: the view has declared nothing for it.
    """
    perms: dict[str, Perm | None] = getattr(view, "perms", {})
    if action not in perms:
        raise PermissionDeniedError(
            f"The action {action} is not open to anybody.",
            remedy="Its view declares no permission for it.",
        )
    return perms[action]


class Guarded(BasePermission):
    """The site's default permission class: signed in, declared, and inside the workspace named."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        actor_of(request)
        declared_perm(view, action_of(view, request))
        return True

    def has_object_permission(self, request: Request, view: "APIView", obj: Any) -> bool:
        return True  # GuardedViewSet finds objects only through scoped querysets
