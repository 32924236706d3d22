"""What concerns the workspace as a whole: applying documents, and the workers of the site."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import serializers
from agents.models import Worker
from agents.selectors.workers import worker_list
from agents.services.apply import apply
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import ListMixin


class ApplyViewSet(WorkspaceViewSet):
    """Makes the workspace hold what documents say, all of it or nothing."""

    perms = {"apply": Perm.WORKSPACE_VIEW}  # and what each kind of document takes
    serializer_class = serializers.AppliedSerializer
    input_serializers = {"apply": serializers.ApplyInput}

    @extend_schema(
        description="Apply documents. The same twice changes nothing. Each kind takes the "
        "permission to edit it; agents are published, too.",
        responses={200: serializers.AppliedSerializer},
    )
    def apply(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = self.checked()
        changes = apply(actor=self.actor, workspace=self.workspace, **data)
        answer = {
            "dry_run": data["dry_run"],
            "changes": [asdict(change) for change in changes],
        }
        return Response(serializers.AppliedSerializer(answer).data)


class WorkerViewSet(WorkspaceViewSet, ListMixin):
    """The engines heard of in the last hour; the site's, whichever workspace asks."""

    perms = {"list": Perm.RUN_VIEW}
    queryset = Worker.objects.all()
    serializer_class = serializers.WorkerSerializer

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_described:
            return Worker.objects.none()
        self.get_workspace()  # asks for the permission
        return worker_list()
