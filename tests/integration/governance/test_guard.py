"""The guard's own refusals: what a view forgets to declare stays closed."""

from typing import Any, ClassVar

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.errors import NotAuthenticatedError
from core.events import DomainEvent, publish, subscribe
from governance.api.serializers import MemberSerializer, WorkspaceSerializer
from governance.contracts import Perm
from governance.guard.authentication import actor_of
from governance.guard.viewsets import CreateMixin, ListMixin, RetrieveMixin, UpdateMixin
from governance.models import Membership, Workspace
from tests.factories.governance import Cast

pytestmark = pytest.mark.django_db


class _Plain(APIView):
    perms: ClassVar = {"get": None}

    def get(self, request: Request) -> Response:
        return Response({"name": request.user.get_username(), "by": actor_of(request).username})

    def post(self, request: Request) -> Response:
        return Response({})


class _Undeclared(ListMixin):
    queryset = Workspace.objects.all()
    serializer_class = WorkspaceSerializer
    workspace_path = "pk"


class _Unscoped(ListMixin):
    perms = {"list": None}
    queryset = Workspace.objects.all()
    serializer_class = WorkspaceSerializer


class _Wandering(RetrieveMixin, CreateMixin, UpdateMixin):
    """A view whose service moves rows where the actor may not follow."""

    perms = {
        "retrieve": Perm.WORKSPACE_VIEW,
        "create": Perm.WORKSPACE_MANAGE,
        "partial_update": Perm.WORKSPACE_MANAGE,
    }
    queryset = Membership.objects.all()
    serializer_class = MemberSerializer
    target: Workspace | None = None

    def perform_create(self, data: dict[str, Any]) -> Membership:
        return Membership.objects.get(user__username="outsider")

    def perform_update(self, row: Membership, data: dict[str, Any]) -> Membership:
        row.workspace = Workspace.objects.get(name="other")
        row.save()
        return row


def _call(view: Any, secret: str, method: str = "get", **kwargs: Any) -> Any:
    request = getattr(RequestFactory(), method)(
        "/api/v1/x",
        headers={"Authorization": f"Bearer {secret}"},
        **({} if method == "get" else {"data": "{}", "content_type": "application/json"}),
    )
    return view(request, **kwargs)


def test_an_action_nobody_declared_is_closed(cast: Cast) -> None:
    secret = cast.token("root")
    answer = _call(_Undeclared.as_view({"get": "list"}), secret)
    assert (answer.status_code, answer.data["code"]) == (403, "permission_denied")
    plain = _Plain.as_view()
    assert _call(plain, secret).data == {"name": "root", "by": "root"}
    assert _call(plain, secret, "post").status_code == 403
    assert _call(plain, secret, "put").status_code == 405
    assert _call(plain, secret, "options").status_code == 405


def test_a_list_without_a_scope_is_a_mistake_and_shows_nothing(cast: Cast) -> None:
    answer = _call(_Unscoped.as_view({"get": "list"}), cast.token("root"))
    assert (answer.status_code, answer.data["code"]) == (500, "internal_error")
    view: Any = _Unscoped()
    view.request, view.action_map, view.action = _request(cast), {"get": "list"}, "list"
    with pytest.raises(ImproperlyConfigured, match="no permission to scope"):
        view.get_queryset()


def _request(cast: Cast) -> Any:
    request = RequestFactory().get("/")
    request.user = cast.users["root"]
    return request


def test_a_row_moved_out_of_reach_is_rolled_back(cast: Cast) -> None:
    secret, member = cast.token("admin"), cast.members["viewer"]
    view = _Wandering.as_view({"patch": "partial_update", "post": "create"})
    moved = _call(view, secret, "patch", pk=member.pk)
    assert (moved.status_code, moved.data["code"]) == (403, "permission_denied")
    assert "nothing was changed" in moved.data["detail"]
    assert Membership.objects.get(pk=member.pk).workspace == cast.acme
    made = _call(view, secret, "post")
    assert made.status_code == 403
    assert _call(view, secret, "patch", pk="not-an-id").status_code == 404


def test_nobody_is_not_an_actor(cast: Cast) -> None:
    request: Any = RequestFactory().get("/")
    with pytest.raises(NotAuthenticatedError):
        actor_of(request)
    request.user = cast.users["root"]
    assert actor_of(request).is_superuser
    for change in ("is_service", "is_active"):
        user = cast.users["viewer"]
        user.is_service, user.is_active = change == "is_service", change != "is_active"
        request.user = user
        with pytest.raises(NotAuthenticatedError):
            actor_of(request)


class _Happened(DomainEvent):
    pass


@pytest.mark.django_db(transaction=True)
def test_events_are_published_after_commit_and_only_then() -> None:
    heard: list[_Happened] = []
    stop = subscribe(_Happened, heard.append)
    with transaction.atomic():
        publish(_Happened())
        assert heard == []
    assert len(heard) == 1
    with transaction.atomic():
        publish(_Happened())
        transaction.set_rollback(True)
    publish(_Happened())
    stop()
    assert len(heard) == 2
