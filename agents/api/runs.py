"""Runs: starting, finding, explaining and steering them."""

from dataclasses import asdict
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import run_serializers as shapes
from agents.api.streams import EventStreamRenderer, event_stream, scope_of
from agents.api.waiting import run_wait
from agents.models import Run
from agents.representation import run_document
from agents.selectors.why import why
from agents.services.runs import (
    run_cancel,
    run_fork,
    run_pause,
    run_replay,
    run_resume,
    run_start,
)
from core.api.clients import client_of
from core.api.filters import MomentFilter
from core.api.idempotency import HEADER, key_of
from core.api.serializers import NothingInput
from core.errors import InvalidInputError
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import ListMixin, RetrieveMixin
from observability.live.viewer import Target

MAX_KEY_CHARACTERS = 200

_STARTED = {
    200: OpenApiResponse(shapes.RunSerializer, description="The run has ended within `wait`."),
    202: OpenApiResponse(shapes.RunSerializer, description="The run is durable and queued."),
    (200, "text/event-stream"): OpenApiResponse(
        OpenApiTypes.STR, description="With `stream`: the run's events until it ends."
    ),
}
_RUN = {200: shapes.RunSerializer}
_NEW_RUN = {201: shapes.RunSerializer}


class RunViewMixin(WorkspaceViewSet):
    """How runs are found and shown."""

    queryset = Run.objects.select_related("version", "requested_by")
    serializer_class = shapes.RunSerializer

    def representation(self, row: Run) -> Any:
        return run_document(row, workspace=self.workspace.name, payload=self.is_payload_visible)

    def started(self, request: Request, agent: str, data: dict[str, Any]) -> HttpResponseBase:
        """Start a run and answer at once, after its end, or with its events."""
        is_streamed = data.pop("stream", False)
        seconds = data.pop("wait", 0)
        if is_streamed:
            scope_of(request)  # refuse before anything is started
        run = run_start(
            actor=self.actor,
            workspace=self.workspace,
            agent=agent,
            idempotency_key=_key(request),
            client=client_of(request.headers.get("User-Agent", "")),
            **data,
        )
        if is_streamed:
            stream: HttpResponseBase = event_stream(
                request, Target(run_id=run.pk), query=b"after=0"
            )
            return stream
        has_ended = bool(seconds) and run_wait(run.pk, seconds)
        response = self.answer(
            Run.objects.select_related("version", "requested_by").get(pk=run.pk),
            status_code=status.HTTP_200_OK if has_ended else status.HTTP_202_ACCEPTED,
            recheck=False,
        )
        response["Location"] = response.data["url"]
        return response


def _key(request: Request) -> str:
    key = key_of(request.headers.get(HEADER)) or ""
    if len(key) > MAX_KEY_CHARACTERS:
        sentence = f"Here, {HEADER} takes at most {MAX_KEY_CHARACTERS} characters."
        raise InvalidInputError(sentence, remedy="Use a UUID.", fields={HEADER: [sentence]})
    return key


_KNOWN_STATES = ", ".join(shapes.STATES)


class RunFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    """`q` looks into agent and id, and into input and output for those who may see them."""

    state = django_filters.MultipleChoiceFilter(
        choices=[(value, value) for value in shapes.STATES],
        label="May be repeated.",
        error_messages={"invalid_choice": f"%(value)s is no state. Known: {_KNOWN_STATES}."},
    )
    agent = django_filters.CharFilter(field_name="agent_name", max_length=63)
    session = django_filters.UUIDFilter(field_name="session_id")
    parent = django_filters.UUIDFilter(field_name="parent_id")
    root = django_filters.UUIDFilter(field_name="root_id")
    surface = django_filters.CharFilter(max_length=20)
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    q = django_filters.CharFilter(method="search", max_length=200)

    def search(self, queryset: QuerySet[Run], name: str, value: str) -> QuerySet[Run]:
        wanted = Q(agent_name__icontains=value)
        if self._is_payload_visible():
            wanted |= Q(input__icontains=value) | Q(output__icontains=value)
        return queryset.filter(wanted)

    def _is_payload_visible(self) -> bool:
        view = self.request.parser_context["view"]
        return bool(view.is_payload_visible)


class RunViewSet(RunViewMixin, ListMixin, RetrieveMixin):
    """Runs, newest first."""

    perms = {"list": Perm.RUN_VIEW, "retrieve": Perm.RUN_VIEW, "create": Perm.RUN_START}
    filterset_class = RunFilter
    input_serializers = {"create": shapes.RunInput}
    unwrapped_actions = frozenset({"create"})
    renderer_classes = [JSONRenderer, EventStreamRenderer]
    problem_statuses = {"create": (404, 409, 503)}

    @extend_schema(
        description="Start a run. The same Idempotency-Key starts it once. With `wait` the answer "
        "is held until the run has ended.",
        request=shapes.RunInput,
        responses=_STARTED,
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        data = self.checked()
        return self.started(request, data.pop("agent"), data)


class InvokeViewSet(RunViewMixin):
    """Starting a run by the agent's name."""

    perms = {"invoke": Perm.RUN_START}
    input_serializers = {"invoke": shapes.InvokeInput}
    unwrapped_actions = frozenset({"invoke"})
    renderer_classes = [JSONRenderer, EventStreamRenderer]
    problem_statuses = {"invoke": (404, 409, 503)}

    @extend_schema(
        description="Start a run of this agent. The same Idempotency-Key starts it once. With "
        "`wait` the answer is held until the run has ended; with `stream` it is the run's events.",
        request=shapes.InvokeInput,
        responses=_STARTED,
    )
    def invoke(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self.started(request, str(self.kwargs["name"]), self.checked())


class WhyViewSet(RunViewMixin):
    """Why a run is where it is."""

    perms = {"retrieve": Perm.RUN_VIEW}

    @extend_schema(responses={200: shapes.WhySerializer})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        found = asdict(why(self.get_object()))
        found["blockers"] = [reason["code"] for reason in found["reasons"] if reason["remedy"]]
        return Response(shapes.WhySerializer(found, context=self.get_serializer_context()).data)


class RunControlViewSet(RunViewMixin):
    """Steering a run. Of several who ask at once one wins; the others get 409 with its name."""

    perms = {
        "pause": Perm.RUN_CONTROL,
        "resume": Perm.RUN_CONTROL,
        "cancel": Perm.RUN_CONTROL,
        "fork": Perm.RUN_CONTROL,
        "replay": Perm.RUN_CONTROL,
    }
    input_serializers = {
        "pause": NothingInput,
        "resume": shapes.ResumeInput,
        "cancel": shapes.CancelInput,
        "fork": shapes.ForkInput,
        "replay": NothingInput,
    }

    def visible_rows(self) -> QuerySet[Any]:
        return self.rows()

    @extend_schema(description="Stop at the next step boundary, holding no worker.", responses=_RUN)
    def pause(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        return self.answer(run_pause(actor=self.actor, run_id=self.get_object().pk))

    @extend_schema(
        description="Let a paused or yielded run go on, with other limits if given.",
        responses=_RUN,
    )
    def resume(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = self.checked()
        return self.answer(run_resume(actor=self.actor, run_id=self.get_object().pk, **data))

    @extend_schema(description="Cancel the run and everything below it.", responses=_RUN)
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = self.checked()
        return self.answer(run_cancel(actor=self.actor, run_id=self.get_object().pk, **data))

    @extend_schema(
        description="Start a new run from a checkpoint; the origin is untouched.",
        responses=_NEW_RUN,
    )
    def fork(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = self.checked()
        is_started = data.pop("start", True)
        client = client_of(request.headers.get("User-Agent", ""))
        run = run_fork(actor=self.actor, run_id=self.get_object().pk, client=client, **data)
        if not is_started:
            run = run_pause(actor=self.actor, run_id=run.pk)
        return self.answer(run, status_code=status.HTTP_201_CREATED)

    @extend_schema(
        description="Run a finished run again against its recorded answers; nothing is done "
        "outside.",
        responses=_NEW_RUN,
    )
    def replay(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        client = client_of(request.headers.get("User-Agent", ""))
        run = run_replay(actor=self.actor, run_id=self.get_object().pk, client=client)
        return self.answer(run, status_code=status.HTTP_201_CREATED)
