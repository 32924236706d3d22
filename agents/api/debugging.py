"""The debugger of a run: step mode, breakpoints, and changing what it is about to do."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import run_serializers as shapes
from agents.api.run_history import OfRunViewSet
from agents.api.serializers import ObjectField
from agents.contracts import EditKind
from agents.engine.debugging import BreakKind
from agents.models import Run, RunEdit
from agents.selectors.debugging import Debugger, debugger_of
from agents.selectors.edits import run_edits
from agents.selectors.runs import run_get
from agents.services.runs import debugging, editing
from core.api.serializers import StrictSerializer
from core.errors import InvalidInputError
from governance.contracts import Perm
from governance.guard.nested import PayloadModelSerializer, PayloadSerializer, WorkspaceViewSet
from governance.guard.viewsets import ListMixin

EDITS = [kind.value for kind in EditKind]
_MAX = 2**31 - 1
_VERSION = "The version of the debugger that you have seen; 409 when it has another by now."


class DebugInput(shapes.DebugSettingsInput):
    version = serializers.IntegerField(min_value=0, max_value=_MAX, help_text=_VERSION)


class StepInput(StrictSerializer):
    version = serializers.IntegerField(min_value=0, max_value=_MAX, help_text=_VERSION)


class EditInput(StrictSerializer):
    """`message` takes `position` and `text`, `arguments` takes `call` and `arguments`, `added`
    takes `text`."""

    version = serializers.IntegerField(min_value=0, max_value=_MAX, help_text=_VERSION)
    kind = serializers.ChoiceField(choices=EDITS)
    position = serializers.IntegerField(min_value=0, max_value=_MAX, required=False)
    text = serializers.CharField(
        max_length=editing.MAX_TEXT_CHARS, required=False, trim_whitespace=False
    )
    call = serializers.UUIDField(required=False)
    arguments = ObjectField(required=False)


class BreakpointSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=shapes.BREAKPOINTS)
    value = serializers.CharField()


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class ArgumentsField(serializers.JSONField):
    """Arguments of a call; null when hidden."""


@extend_schema_field({"type": ["object", "array", "null"], "items": {}})
class ChangedField(serializers.JSONField):
    """Parts of a message, or arguments of a call; null when hidden."""


class OpenCallSerializer(PayloadSerializer):
    payload_fields = ("arguments",)

    id = serializers.UUIDField(allow_null=True)
    index = serializers.IntegerField()
    tool = serializers.CharField()
    state = serializers.CharField()
    arguments = ArgumentsField()
    is_held = serializers.BooleanField()
    is_editable = serializers.BooleanField()


class OpenMessageSerializer(PayloadSerializer):
    payload_fields = ("text",)

    position = serializers.IntegerField()
    role = serializers.CharField()
    text = serializers.CharField(allow_null=True, allow_blank=True)


class DebuggerSerializer(PayloadSerializer):
    """`hold` says why the run is held, or is empty. `calls` and `messages` are what it would do
    next, and what of that can be changed while it is paused."""

    payload_fields = ("sentence",)

    run = serializers.UUIDField(source="run.pk")
    version = serializers.IntegerField()
    state = serializers.CharField(source="run.state")
    step = serializers.CharField(source="debug.step.value")
    breakpoints = BreakpointSerializer(many=True, source="debug.breakpoints")
    scope = serializers.CharField(source="debug.scope.value")
    hold = serializers.SerializerMethodField()
    sentence = serializers.CharField(source="run.reason", allow_null=True, allow_blank=True)
    next = serializers.CharField(help_text="model, tools or end.")
    can_add = serializers.BooleanField(help_text="A message can be added now.")
    calls = OpenCallSerializer(many=True, source="standing.calls")
    messages = OpenMessageSerializer(many=True, source="standing.messages")
    held_below = serializers.SerializerMethodField(help_text="Runs of the tree that are held too.")
    by = serializers.CharField(allow_blank=True, help_text="Who changed the debugger last.")
    deed = serializers.CharField(allow_blank=True, help_text="What they did.")

    def get_hold(self, found: Debugger) -> str:
        return found.run.error_code if found.is_held else ""

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_held_below(self, found: Debugger) -> list[str]:
        return [str(run.pk) for run in found.held_below]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        data = super().to_representation(instance)
        if data["payload_hidden"]:  # what text is looked for is about what is said
            data["breakpoints"] = [
                each for each in data["breakpoints"] if each["kind"] != BreakKind.TEXT.value
            ]
        return data


class EditSerializer(PayloadModelSerializer):
    payload_fields = ("before", "after")

    before = ChangedField(read_only=True)
    after = ChangedField(read_only=True)

    class Meta:
        model = RunEdit
        fields = (
            "sequence", "kind", "position", "index", "before", "after", "edited_by_name",
            "created_at", "payload_hidden",
        )  # fmt: skip
        read_only_fields = fields


class DebuggerViewSet(WorkspaceViewSet):
    """The debugger of a run. Of several who change it at once one wins; the others get 409 with
    its name and what it did."""

    queryset = Run.objects.none()
    serializer_class = DebuggerSerializer
    perms = {
        "retrieve": Perm.RUN_VIEW,
        "set": Perm.RUN_CONTROL,
        "step": Perm.RUN_CONTROL,
        "go": Perm.RUN_CONTROL,
    }
    input_serializers = {"set": DebugInput, "step": StepInput, "go": StepInput}
    problem_statuses = {"set": (404, 409), "step": (404, 409), "go": (404, 409)}

    def run(self) -> Run:
        return run_get(actor=self.actor, workspace=self.workspace, run_id=self.kwargs["pk"])

    def shown(self, run: Run) -> Response:
        context = self.get_serializer_context()
        return Response(DebuggerSerializer(debugger_of(run), context=context).data)

    @extend_schema(responses={200: DebuggerSerializer})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.shown(self.run())

    @extend_schema(
        description="Set step mode and breakpoints; a run under way heeds them at its next "
        "boundary. A breakpoint on text takes seeing payloads.",
        request=DebugInput,
        responses={200: DebuggerSerializer},
    )
    def set(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        data = self.checked()
        run = debugging.run_debug_set(
            actor=self.actor, run_id=run.pk, version=data.pop("version"), settings=data
        )
        return self.shown(run)

    @extend_schema(
        description="Let exactly one model call or tool call of a paused run go.",
        request=StepInput,
        responses={200: DebuggerSerializer},
    )
    def step(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        data = self.checked()
        return self.shown(debugging.run_step(actor=self.actor, run_id=run.pk, **data))

    @extend_schema(
        description="End the step mode and let a paused run go on to its next breakpoint.",
        request=StepInput,
        responses={200: DebuggerSerializer},
    )
    def go(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        data = self.checked()
        return self.shown(debugging.run_continue(actor=self.actor, run_id=run.pk, **data))


_NEEDS = {
    EditKind.MESSAGE: ("position", "text"),
    EditKind.ARGUMENTS: ("call", "arguments"),
    EditKind.ADDED: ("text",),
}


class EditViewSet(OfRunViewSet, ListMixin):
    """What people changed about a run while it stood still, oldest first."""

    queryset = RunEdit.objects.all()
    serializer_class = EditSerializer
    workspace_path = "run__workspace"
    cursor_field = "sequence"
    perms = {"list": Perm.RUN_VIEW, "create": Perm.RUN_CONTROL}
    input_serializers = {"create": EditInput}
    problem_statuses = {"create": (404, 409)}

    def rows(self) -> QuerySet[Any]:
        return super().rows() if self.is_described else run_edits(self.run())

    @extend_schema(
        description="Change what a paused run is about to do: the text of a message its model has "
        "not seen, the arguments of a call that has not begun, or a message more. Takes seeing "
        "payloads.",
        request=EditInput,
        responses={201: EditSerializer},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        data = self.checked()
        kind = EditKind(data["kind"])
        given = {name for name in ("position", "text", "call", "arguments") if name in data}
        if given != set(_NEEDS[kind]):
            wanted = " and ".join(_NEEDS[kind])
            sentence = f"An edit of kind {kind.value} takes {wanted}, and nothing else of these."
            raise InvalidInputError(sentence, fields={"kind": [sentence]})
        common = {"actor": self.actor, "run_id": run.pk, "version": data["version"]}
        if kind is EditKind.MESSAGE:
            edit = editing.run_edit_message(**common, position=data["position"], text=data["text"])
        elif kind is EditKind.ARGUMENTS:
            edit = editing.run_edit_arguments(
                **common, call_id=data["call"], arguments=data["arguments"]
            )
        else:
            edit = editing.run_add_message(**common, text=data["text"])
        return Response(self.representation(edit), status=status.HTTP_201_CREATED)
