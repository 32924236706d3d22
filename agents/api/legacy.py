"""The addresses of the earlier tool, at the site's root: /spawn /invoke /kill /agents /traces.

What it called an agent that was spawned from a template is here a session with the agent of that
name; `agent_id` is the session's id. The workspace is the token's, or the only one of its owner.
"""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.legacy_stream import legacy_stream
from agents.api.streams import EventStreamRenderer, scope_of
from agents.api.waiting import run_wait
from agents.contracts import RunState
from agents.models import Run, Session
from agents.selectors.runs import run_list
from agents.selectors.sessions import session_list
from agents.services.runs import run_cancel, run_start
from agents.services.sessions import session_create
from agents.transitions import LIVE
from core.api.lines import LinesRenderer, lines
from core.api.serializers import StrictSerializer
from core.errors import DomainError, InvalidInputError, NotFoundError, StaleStateError
from governance import access
from governance.contracts import AuditAction, AuditSubject, Perm
from governance.guard.nested import WorkspaceViewSet
from governance.selectors.workspaces import workspace_get, workspace_list
from governance.services.audit import audit_append
from observability.selectors.events import run_export

if TYPE_CHECKING:
    from governance.models import Workspace

DEFAULT_AGENT = "default"
WAIT_SECONDS = 120.0
MAX_LISTED = 200
MAX_TRACES = 50


class RunFailedError(DomainError):
    """The run ended without an output.

    Read the run's reason, then fork it or start another one.
    """

    code = "run_failed"
    status = 502


class RunUnfinishedError(DomainError):
    """The run has not ended in the time an answer is held.

    Follow the run by its id; it goes on.
    """

    code = "run_unfinished"
    status = 504


class SpawnInput(StrictSerializer):
    template = serializers.CharField(max_length=63, help_text="Name of an agent.")


class SpawnedSerializer(serializers.Serializer[Any]):
    agent_id = serializers.UUIDField()


class LegacyInvokeInput(StrictSerializer):
    agent_id = serializers.UUIDField(required=False, allow_null=True)
    input = serializers.CharField(max_length=1_000_000, trim_whitespace=False)
    stream = serializers.BooleanField(required=False)


class SummarySerializer(serializers.Serializer[Any]):
    tokens = serializers.IntegerField()
    cost = serializers.FloatField()


class InvokedSerializer(serializers.Serializer[Any]):
    output = serializers.CharField(allow_null=True, allow_blank=True)
    summary = SummarySerializer()


class KillInput(StrictSerializer):
    agent_id = serializers.UUIDField()


class KilledSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()


class LegacyAgentSerializer(serializers.Serializer[Any]):
    agent_id = serializers.UUIDField()
    template = serializers.CharField()
    state = serializers.CharField(help_text="Of its last run; idle when it has none.")
    created_at = serializers.DateTimeField()


class LegacyViewSet(WorkspaceViewSet):
    """Base of the carried-over addresses."""

    queryset = Session.objects.select_related("agent")

    def get_workspace(self) -> "Workspace":
        actor = self.actor
        if actor.workspace_id is not None:
            workspace = workspace_get(actor, ref=actor.workspace_id)
        else:
            found = list(workspace_list(actor)[:2])
            if len(found) != 1:
                raise InvalidInputError(
                    "This address belongs to the token's workspace, and yours names none.",
                    remedy="Use a token that is bound to one workspace, or the API under /api/v1/.",
                )
            workspace = found[0]
        access.require(actor, self.perm or Perm.WORKSPACE_VIEW, workspace)
        return workspace

    def session(self, agent_id: Any) -> Session:
        rows = Session.objects.select_related("agent").filter(workspace=self.workspace)
        found = rows.filter(pk=agent_id).first()
        if found is None:
            raise NotFoundError(
                f"There is no agent {agent_id} here.", remedy="Spawn one, or list them."
            )
        return found


class SpawnViewSet(LegacyViewSet):
    perms = {"spawn": Perm.RUN_START}
    serializer_class = SpawnedSerializer
    input_serializers = {"spawn": SpawnInput}

    @extend_schema(
        description="Open a conversation with the agent named.", responses={200: SpawnedSerializer}
    )
    def spawn(self, request: Request) -> Response:
        template = self.checked()["template"]
        session = session_create(actor=self.actor, workspace=self.workspace, agent=template)
        return Response({"agent_id": str(session.pk)})


class LegacyInvokeViewSet(LegacyViewSet):
    perms = {"invoke": Perm.RUN_START}
    serializer_class = InvokedSerializer
    input_serializers = {"invoke": LegacyInvokeInput}
    unwrapped_actions = frozenset({"invoke"})
    renderer_classes = [JSONRenderer, EventStreamRenderer]
    problem_statuses = {"invoke": (404, 409, 502, 503, 504)}

    @extend_schema(
        description="Run and answer with the output. Without `agent_id` the agent `default` "
        "answers. With `stream` the lines of the trace are sent as they happen.",
        responses={
            200: InvokedSerializer,
            (200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR),
        },
    )
    def invoke(self, request: Request) -> HttpResponseBase:
        data = self.checked()
        if data.get("stream"):
            scope_of(request)
        session = self.session(data["agent_id"]) if data.get("agent_id") else None
        run = run_start(
            actor=self.actor,
            workspace=self.workspace,
            agent=DEFAULT_AGENT if session is None else session.agent.name,
            input=data["input"],
            session=None if session is None else session.pk,
            surface="legacy",
        )
        if data.get("stream"):
            stream: HttpResponseBase = legacy_stream(request, run.pk)
            return stream
        run_wait(run.pk, WAIT_SECONDS)
        return Response(self._outcome(Run.objects.get(pk=run.pk)))

    def _outcome(self, run: Run) -> dict[str, Any]:
        if run.state in LIVE:
            raise RunUnfinishedError(
                f"The run is {run.state} after {WAIT_SECONDS:g} seconds; it goes on.",
                remedy="Look for it under /api/v1/…/runs.",
                detail={"run": str(run.pk)},
            )
        if run.state != RunState.SUCCEEDED.value:
            why = f" {run.reason}" if self.is_payload_visible else ""
            raise RunFailedError(f"The run {run.state}.{why}", detail={"run": str(run.pk)})
        return {
            "output": run.output if self.is_payload_visible else None,
            "summary": {
                "tokens": run.input_tokens + run.output_tokens,
                "cost": float(run.cost_usd),
            },
        }


class KillViewSet(LegacyViewSet):
    perms = {"kill": Perm.RUN_CONTROL}
    serializer_class = KilledSerializer
    input_serializers = {"kill": KillInput}

    @extend_schema(description="Cancel what the agent is doing.", responses={200: KilledSerializer})
    def kill(self, request: Request) -> Response:
        session = self.session(self.checked()["agent_id"])
        live = Run.objects.filter(session=session, state__in=LIVE).values_list("pk", flat=True)
        for run_id in list(live):
            try:
                run_cancel(actor=self.actor, run_id=run_id, reason="Killed.")
            except StaleStateError:
                continue  # it has ended by itself, which is what was asked for
        return Response({"ok": True})


class LegacyAgentsViewSet(LegacyViewSet):
    perms = {"retrieve": Perm.SESSION_VIEW}
    serializer_class = LegacyAgentSerializer
    pagination_class = None

    @extend_schema(
        description="The newest 200 spawned agents.",
        responses={200: LegacyAgentSerializer(many=True)},
    )
    def retrieve(self, request: Request) -> Response:
        last = Run.objects.filter(session=OuterRef("pk")).order_by("-pk").values("state")[:1]
        rows: QuerySet[Session] = session_list(actor=self.actor, workspace=self.workspace).annotate(
            state=Subquery(last)
        )
        listed = [
            {
                "agent_id": row.pk,
                "template": row.agent.name,
                "state": row.state or "idle",  # type: ignore[attr-defined]  # annotated above
                "created_at": row.created_at,
            }
            for row in rows.order_by("-pk")[:MAX_LISTED]
        ]
        return Response(LegacyAgentSerializer(listed, many=True).data)


class TracesViewSet(LegacyViewSet):
    perms = {"retrieve": Perm.RUN_PAYLOAD}
    serializer_class = LegacyAgentSerializer
    query_parameters = frozenset({"agent_id"})
    renderer_classes = [LinesRenderer, JSONRenderer]

    @extend_schema(
        description="Trace lines of the newest 50 runs, oldest run first.",
        parameters=[OpenApiParameter("agent_id", OpenApiTypes.UUID)],
        responses={(200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        access.require(self.actor, Perm.RUN_VIEW, self.workspace)
        runs = run_list(actor=self.actor, workspace=self.workspace)
        agent_id = request.query_params.get("agent_id")
        if agent_id is not None:
            agent = serializers.UUIDField().run_validation(agent_id)
            runs = runs.filter(session=self.session(agent))
        newest = list(runs.order_by("-pk").values_list("pk", flat=True)[:MAX_TRACES])
        audit_append(
            self.actor,
            action=AuditAction.EXPORTED,
            workspace_id=self.workspace.pk,
            subject=AuditSubject(kind="trace", label="newest runs"),
            payload={"form": "legacy", "runs": len(newest), "agent_id": agent_id},
        )
        content: Iterator[bytes] = chain.from_iterable(
            run_export(self.actor, run_id, form="legacy") for run_id in reversed(newest)
        )
        return lines(request, content, filename="traces.jsonl")
