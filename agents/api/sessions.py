"""Conversations and what was said in them."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from agents.api import run_serializers, serializers
from agents.models import Message, Session
from agents.selectors.sessions import session_list, session_messages
from agents.services.sessions import session_create
from core.errors import NotFoundError
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import CreateMixin, ListMixin, RetrieveMixin


class SessionFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    agent = django_filters.CharFilter(field_name="agent__name", max_length=63)


class SessionViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin):
    """Conversations, newest first."""

    perms = {
        "list": Perm.SESSION_VIEW,
        "retrieve": Perm.SESSION_VIEW,
        "create": Perm.RUN_START,
    }
    queryset = Session.objects.select_related("agent")
    serializer_class = serializers.SessionSerializer
    input_serializers = {"create": serializers.SessionInput}
    filterset_class = SessionFilter

    def perform_create(self, data: dict[str, Any]) -> Session:
        return session_create(actor=self.actor, workspace=self.workspace, **data)


class SessionMessageViewSet(WorkspaceViewSet, ListMixin):
    """Everything said in a conversation, oldest first, without what was rolled back."""

    perms = {"list": Perm.SESSION_VIEW}
    queryset = Message.objects.all()
    serializer_class = run_serializers.MessageSerializer
    workspace_path = "run__workspace"
    cursor_field = "pk"

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return super().rows()
        sessions = session_list(actor=self.actor, workspace=self.workspace)
        session = sessions.filter(pk=self.kwargs["pk"]).first()
        if session is None:
            raise NotFoundError(
                "There is no such session here, or it is not visible to you.",
                remedy="List the sessions of the workspace.",
            )
        return session_messages(session)
