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
from agents.services.workers import worker_drain, worker_undrain
from core.api.serializers import NothingInput
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import GuardedViewSet, ListMixin


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


class WorkerDrainViewSet(GuardedViewSet):
    """Asking a worker to take no more runs, and taking that back."""

    perms = {"drain": None, "undrain": None}  # a superuser's: the service decides
    queryset = Worker.objects.all()
    serializer_class = serializers.WorkerSerializer
    input_serializers = {"drain": NothingInput}

    @extend_schema(
        description="Ask the worker to give its runs back at their step boundaries and to take no "
        "more. It stays, and reports itself as drained. Asking twice changes nothing.",
        responses={200: serializers.WorkerSerializer},
    )
    def drain(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        worker = worker_drain(self.actor, worker_id=self.kwargs["pk"])
        return Response(serializers.WorkerSerializer(worker).data)

    @extend_schema(
        description="Take a drain back: the worker takes runs again.",
        responses={200: serializers.WorkerSerializer},
    )
    def undrain(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        worker = worker_undrain(self.actor, worker_id=self.kwargs["pk"])
        return Response(serializers.WorkerSerializer(worker).data)
