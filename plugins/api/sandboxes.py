"""What the sandbox worker of the site can hold, for who keeps runs going."""

from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from plugins.models import ToolDefinition
from sandbox.contracts import Isolation, Limit, Strength
from sandbox.services import sandboxes

ENGINES = [member.value for member in Isolation if member]
LIMITS = [member.value for member in Limit]
STRENGTHS = [member.value for member in Strength]


class EngineSerializer(serializers.Serializer[Any]):
    """One engine on the sandbox worker's host. `missing` says for each limit that cannot be held
    why not; `problem` and `remedy` are there when nothing can run on it."""

    name = serializers.ChoiceField(choices=ENGINES)
    is_available = serializers.BooleanField()
    strength = serializers.ChoiceField(choices=STRENGTHS)
    holds = serializers.ListField(child=serializers.ChoiceField(choices=LIMITS))
    missing = serializers.DictField(child=serializers.CharField())
    problem = serializers.CharField(allow_blank=True)
    remedy = serializers.CharField(allow_blank=True)


class SandboxDoctorViewSet(WorkspaceViewSet):
    """The site's engines, best first; the same whichever workspace asks.

    Operators, authors and admins have the permission: those who decide what to do about a run.
    """

    perms = {"list": Perm.RUN_CONTROL}
    queryset = ToolDefinition.objects.none()
    serializer_class = EngineSerializer

    def get_queryset(self) -> QuerySet[Any]:
        return ToolDefinition.objects.none()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask the sandbox worker; 503 with the reason when none answers."""
        _ = self.workspace  # asks for the permission
        found = async_to_sync(sandboxes().doctor)()
        shown = [
            {
                "name": engine.name,
                "is_available": engine.is_available,
                "strength": engine.strength,
                "holds": sorted(engine.holds),
                "missing": dict(sorted(engine.missing.items())),
                "problem": engine.problem,
                "remedy": engine.remedy,
            }
            for engine in found
        ]
        return self.page(list(EngineSerializer(shown, many=True).data), None)
