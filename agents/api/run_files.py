"""Files of a run as its checkpoints name them: a list, and what changed between two of them."""

from itertools import islice
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.run_history import OfRunViewSet
from agents.models import Checkpoint, Run
from agents.selectors.history import run_checkpoint
from agents.services.files import files_changed, files_of, files_shown
from core.api.pagination import limit_of
from core.errors import InvalidInputError
from governance.contracts import Perm
from sandbox.workspaces.snapshots import Kind

_MAX_DIGITS = 9


class FileSerializer(serializers.Serializer[Any]):
    """One file, folder or link. Bytes of a name that are no text are shown escaped."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    mode = serializers.CharField(help_text="Permissions in octal, such as 0644.")
    size_bytes = serializers.IntegerField()
    digest = serializers.CharField(allow_null=True, help_text="SHA-256 of a file's content.")
    target = serializers.CharField(allow_null=True, help_text="Where a link leads.")


class FileDifferenceSerializer(serializers.Serializer[Any]):
    """Names that differ. Where there are more than 1,000 of a kind, `is_truncated` says so."""

    since = serializers.IntegerField()
    checkpoint = serializers.IntegerField()
    added = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    is_truncated = serializers.BooleanField()


class OfCheckpointViewSet(OfRunViewSet):
    queryset = Run.objects.none()

    def checkpoint(self, run: Run) -> Checkpoint:
        return run_checkpoint(run, self.kwargs["number"])


_PAGE = [
    OpenApiParameter("cursor", str, description="Goes on behind the page it came with."),
    OpenApiParameter("limit", OpenApiTypes.INT, description="How many at once, 1 to 200."),
]


class FileViewSet(OfCheckpointViewSet):
    """The files of a run's workspace at a checkpoint, in the order of a walk."""

    perms = {"list": Perm.RUN_PAYLOAD}
    serializer_class = FileSerializer
    problem_statuses = {"list": (409,)}

    @extend_schema(parameters=_PAGE, responses={200: FileSerializer(many=True)})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        limit = limit_of(request.query_params.get("limit"))
        start = _whole(request.query_params.get("cursor", "0"), "cursor")
        tree = files_of(run.workspace_id, self.checkpoint(run))
        found = list(islice(files_shown(tree), start, start + limit + 1))
        following = str(start + limit) if len(found) > limit else None
        return self.page(list(FileSerializer(found[:limit], many=True).data), following)


class FileDifferenceViewSet(OfCheckpointViewSet):
    """What changed in a run's workspace between two of its checkpoints."""

    perms = {"retrieve": Perm.RUN_PAYLOAD}
    query_parameters = frozenset({"since"})
    problem_statuses = {"retrieve": (409,)}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "since", OpenApiTypes.INT, description="The earlier one. Default: the one before."
            )
        ],
        responses={200: FileDifferenceSerializer},
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = self.run()
        later = self.checkpoint(run)
        given = request.query_params.get("since")
        since = max(later.sequence - 1, 1) if given is None else _whole(given, "since")
        earlier = run_checkpoint(run, since)
        return Response(FileDifferenceSerializer(files_changed(run, earlier, later)).data)


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        sentence = f"{name} is a whole number."
        raise InvalidInputError(sentence, fields={name: [sentence]})
    return int(text)
