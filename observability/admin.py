"""Traces in the admin: to read, never to change."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin import WITHHELD, json_block, moment_column, row_link, short_id, text_block
from governance import access
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin
from observability.models import Blob, TraceEvent

_PREVIEW_CHARACTERS = 20_000


@admin.register(TraceEvent)
class TraceEventAdmin(GuardedAdmin):
    """One event a row. The payload is a field only for those who may see payloads."""

    view_perm = Perm.RUN_VIEW
    workspace_path = "workspace_id"
    list_display = ("kind", "sequence", "run_shown", "happened")
    list_filter = ("kind",)
    ordering = ("-id",)

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        is_visible = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        return ("run_shown", "sequence", "kind", "happened", "shown" if is_visible else "hidden")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj)

    @admin.display(description=_("Run"))
    def run_shown(self, event: TraceEvent) -> SafeString:
        return row_link("agents_run", event.run_id, short_id(event.run_id))

    happened = moment_column("at", _("Happened"))

    @admin.display(description=_("Payload"))
    def shown(self, event: TraceEvent) -> SafeString:
        return json_block(event.payload)

    @admin.display(description=_("Payload"))
    def hidden(self, event: TraceEvent) -> str:
        return str(WITHHELD)


@admin.register(Blob)
class BlobAdmin(GuardedAdmin):
    """One stored text a row; only for those who may see payloads."""

    view_perm = Perm.RUN_PAYLOAD
    workspace_path = "workspace_id"
    lesson = "console/lessons/texts.html"
    list_display = ("written", "digest", "media_type", "size_bytes")
    list_filter = ("media_type",)
    search_fields = ("digest",)
    ordering = ("-id",)
    fields = ("digest", "media_type", "size_bytes", "created_at", "preview")
    readonly_fields = fields

    written = moment_column("created_at", _("Written"))

    @admin.display(description=_("Beginning"))
    def preview(self, blob: Blob) -> SafeString:
        text = bytes(blob.content[: 4 * _PREVIEW_CHARACTERS]).decode(errors="replace")
        return text_block(text[:_PREVIEW_CHARACTERS])
