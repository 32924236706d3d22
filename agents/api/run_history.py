"""What belongs to one run: messages, checkpoints, children, events, the trace as a file."""

from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import run_serializers as shapes
from agents.api.runs import RunViewMixin
from agents.api.streams import EventStreamRenderer, event_stream
from agents.models import Checkpoint, Message, Run
from agents.selectors.history import run_checkpoints, run_children, run_messages
from agents.selectors.runs import run_get
from agents.services.evidence import run_evidence
from core.api.lines import LinesRenderer, lines
from core.api.pagination import limit_of
from core.errors import InvalidInputError
from governance.contracts import AuditAction, AuditSubject, Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import ListMixin
from governance.services.audit import audit_append
from observability.contracts import EventKind
from observability.cursors import Topic
from observability.live.viewer import Target
from observability.selectors.events import events_list, run_export
from plugins.api.views import RunToolCallViewSet as LedgerOfRunViewSet


class OfRunViewSet(WorkspaceViewSet):
    """Base of what lies below a run; the run is looked for first."""

    perms = {"list": Perm.RUN_VIEW}

    def run(self) -> Run:
        return run_get(actor=self.actor, workspace=self.workspace, run_id=self.kwargs["pk"])


class MessageViewSet(OfRunViewSet, ListMixin):
    """The history the run's model sees, oldest first; a fork's begins with its origin's."""

    queryset = Message.objects.all()
    serializer_class = shapes.MessageSerializer
    workspace_path = "run__workspace"
    cursor_field = "position"

    def rows(self) -> QuerySet[Any]:
        return super().rows() if self.is_described else run_messages(self.run())


class CheckpointViewSet(OfRunViewSet, ListMixin):
    """Points the run can be forked from, oldest first."""

    queryset = Checkpoint.objects.all()
    serializer_class = shapes.CheckpointSerializer
    workspace_path = "run__workspace"
    cursor_field = "sequence"

    def rows(self) -> QuerySet[Any]:
        return super().rows() if self.is_described else run_checkpoints(self.run())


class ChildViewSet(RunViewMixin, OfRunViewSet, ListMixin):
    """Runs this one has started, oldest first."""

    cursor_field = "pk"

    def rows(self) -> QuerySet[Any]:
        return super().rows() if self.is_described else run_children(self.run())


class RunToolCallViewSet(LedgerOfRunViewSet, OfRunViewSet):
    """The run's entries of the effect ledger, in the order they were asked for."""

    def rows(self) -> QuerySet[Any]:
        if not self.is_described:
            self.run()
        return super().rows()


_AFTER = OpenApiParameter("after", str, description="Cursor of the last event seen; 0: all.")
_KIND = OpenApiParameter(
    "kind", str, many=True, enum=[kind.value for kind in EventKind], description="Repeatable."
)


class EventViewSet(OfRunViewSet):
    """The run's trace as pages, oldest first."""

    queryset = Run.objects.none()
    serializer_class = shapes.EventSerializer
    query_parameters = frozenset({"after", "kind"})

    @extend_schema(parameters=[_AFTER, _KIND], responses={200: shapes.EventSerializer(many=True)})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        query = request.query_params
        page = events_list(
            self.actor,
            Topic(self.workspace.pk, run.pk),
            after=query.get("cursor") or query.get("after") or "0",
            limit=limit_of(query.get("limit")),
            kinds=query.getlist("kind"),
        )
        shown = [
            {
                **msgspec.structs.asdict(event),
                "payload": None if event.payload is None else msgspec.json.decode(event.payload),
            }
            for event in page.events
        ]
        items = list(shapes.EventSerializer(shown, many=True).data)
        return self.page(items, page.cursor if page.has_more else None)


class StreamViewSet(OfRunViewSet):
    """The run's events as they happen, for any HTTP client (server-sent events)."""

    perms = {"retrieve": Perm.RUN_VIEW}
    queryset = Run.objects.none()
    query_parameters = frozenset({"after"})
    renderer_classes = [EventStreamRenderer, JSONRenderer]
    problem_statuses = {"retrieve": (429, 503)}

    @extend_schema(
        description="Events, and fragments of answers being written, until the run ends. `id:` is "
        "the cursor; send it back as Last-Event-ID (or `after`) to go on.",
        parameters=[
            _AFTER,
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER),
        ],
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        stream: HttpResponseBase = event_stream(request, Target(run_id=self.run().pk))
        return stream


class EvidenceViewSet(OfRunViewSet):
    """What a run did and by whose leave, as one file that proves itself offline."""

    perms = {"retrieve": Perm.RUN_PAYLOAD}
    queryset = Run.objects.none()
    renderer_classes = [LinesRenderer, JSONRenderer]
    problem_statuses = {"retrieve": (409,)}

    @extend_schema(
        description="Events, versions, policies, approvals, receipts of effects and costs of a run "
        "that has ended and of the runs below it, signed. Takes `activity.view` too. Check it "
        "with `agentry audit verify` and the public key.",
        responses={(200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        run = self.run()
        content = run_evidence(self.actor, run=run)
        return lines(request, content, filename=f"evidence-{run.pk}.jsonl")


class TraceViewSet(OfRunViewSet):
    """The whole trace as a file of JSON lines."""

    perms = {"retrieve": Perm.RUN_PAYLOAD}
    queryset = Run.objects.none()
    query_parameters = frozenset({"form"})
    renderer_classes = [LinesRenderer, JSONRenderer]

    @extend_schema(
        description="`native`: events as they are stored. `legacy`: the lines of the earlier tool.",
        parameters=[
            OpenApiParameter("form", str, enum=["native", "legacy"], default="native"),
        ],
        responses={(200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        form = request.query_params.get("form", "native")
        if form not in {"native", "legacy"}:
            sentence = "form is native or legacy."
            raise InvalidInputError(sentence, fields={"form": [sentence]})
        run = self.run()
        audit_append(
            self.actor,
            action=AuditAction.EXPORTED,
            workspace_id=self.workspace.pk,
            subject=AuditSubject(kind="trace", id=str(run.pk)),
            payload={"form": form},
        )
        content = run_export(self.actor, run.pk, form="legacy" if form == "legacy" else "agentry")
        return lines(request, content, filename=f"{run.pk}.jsonl")
