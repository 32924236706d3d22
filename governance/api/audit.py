"""Audit chains: the workspace's below its address, and the site's own."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.lines import LinesRenderer, lines
from core.api.serializers import NothingInput
from core.signing import signing_key_id, signing_public_key
from governance import access
from governance.api import serializers
from governance.contracts import Perm
from governance.guard.viewsets import GuardedViewSet, ListMixin
from governance.models import AuditCheckpoint, AuditEntry, Workspace
from governance.selectors.audit import (
    audit_list,
    checkpoint_document,
    checkpoint_list,
    entry_document,
    payload_shown,
)
from governance.services.audit_exports import audit_checkpoint, audit_export
from governance.services.workspaces import require_site_admin

_SPAN = [
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="Entries from this time on."),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Entries before this time."),
]


class AuditKeyViewSet(GuardedViewSet):
    """The public key that checkpoints and exports are checked with."""

    perms = {"retrieve": None}
    serializer_class = serializers.AuditKeySerializer

    def retrieve(self, request: Request) -> Response:
        return Response(
            {
                "key_id": signing_key_id(),
                "algorithm": "Ed25519",
                "public_key": signing_public_key(),
            }
        )


class ChainViewSet(GuardedViewSet):
    """Base: one chain, that of the workspace in the path."""

    cursor_field = "-sequence"

    def chain(self) -> Workspace | None:
        return self.get_workspace()


class OfSite(ChainViewSet):
    """Base: the site's own chain, which is a superuser's."""

    def chain(self) -> None:
        require_site_admin(self.actor, "read the audit chain of the site")


class AuditViewSet(ListMixin, ChainViewSet):
    """What was recorded, newest first."""

    perms = {"list": Perm.ACTIVITY_VIEW}
    queryset = AuditEntry.objects.all()
    serializer_class = serializers.AuditEntrySerializer

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_described:
            return AuditEntry.objects.none()
        return audit_list(self.actor).filter(workspace=self.chain())

    def representation(self, row: AuditEntry) -> Any:
        payload, is_hidden = payload_shown(row, is_readable=self._is_readable)
        told = {"payload": payload, "payload_hidden": is_hidden, "hash": row.hash}
        return {**entry_document(row), **told}

    @cached_property
    def _is_readable(self) -> bool:
        return access.may_see_payload(self.actor, self.chain())


class AuditCheckpointViewSet(ListMixin, ChainViewSet):
    """The site's signatures under the chain, newest first; asking for one signs it now."""

    perms = {"list": Perm.ACTIVITY_VIEW, "create": Perm.ACTIVITY_VIEW}
    queryset = AuditCheckpoint.objects.all()
    serializer_class = serializers.AuditCheckpointSerializer
    input_serializers = {"create": NothingInput}

    def get_queryset(self) -> QuerySet[Any]:
        if self.is_described:
            return AuditCheckpoint.objects.none()
        return checkpoint_list(self.actor).filter(workspace=self.chain())

    @extend_schema(
        description="Sign the chain as it is now. When nothing was added since the last "
        "signature, that one is the answer. A broken chain is refused with `audit_broken`.",
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        signed = audit_checkpoint(self.actor, workspace=self.chain())
        return Response(self.representation(signed), status=status.HTTP_201_CREATED)

    def representation(self, row: AuditCheckpoint) -> Any:
        return {**checkpoint_document(row), "signature": row.signature}


class AuditExportViewSet(ChainViewSet):
    """The chain as a file of JSON lines that anybody with the public key can check."""

    perms = {"retrieve": Perm.ACTIVITY_VIEW}
    queryset = AuditEntry.objects.none()
    query_parameters = frozenset({"since", "until"})
    renderer_classes = [LinesRenderer, JSONRenderer]

    @extend_schema(
        description="A header, the entries with the checkpoints that sign them, and a signed end. "
        "That you took it is an entry itself. Of a workspace's chain it takes `run.payload` too: "
        "entries hold what people said about calls.",
        parameters=_SPAN,
        responses={(200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        chain = self.chain()
        span = serializers.AuditSpan(data=request.query_params)
        span.is_valid(raise_exception=True)
        content = audit_export(self.actor, workspace=chain, **span.validated_data)
        name = "site" if chain is None else chain.name
        return lines(request, content, filename=f"audit-{name}.jsonl")


class SiteAuditViewSet(OfSite, AuditViewSet):
    """What was recorded of the site itself, newest first; a superuser's."""

    perms = {"list": None}


class SiteAuditCheckpointViewSet(OfSite, AuditCheckpointViewSet):
    """The site's signatures under its own chain; a superuser's."""

    perms = {"list": None, "create": None}


class SiteAuditExportViewSet(OfSite, AuditExportViewSet):
    """The site's own chain as a file; a superuser's."""

    perms = {"retrieve": None}
