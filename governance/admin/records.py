"""Pages about what happened: changes of objects, and the chains of the audit. All are to read."""

from typing import Any

from auditlog.models import LogEntry
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin import NOTHING, WITHHELD, json_block, moment_column
from governance import access
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin
from governance.models import AuditCheckpoint, AuditEntry
from governance.selectors.activity import activity_list
from governance.selectors.audit import audit_list, checkpoint_list, payload_shown


@admin.register(LogEntry)
class ActivityAdmin(GuardedAdmin):
    """What changed, newest first; nobody edits it."""

    view_perm = Perm.ACTIVITY_VIEW
    list_display = ("object_repr", "kind", "action", "who", "happened")
    list_filter = ("action",)
    search_fields = ("object_repr",)
    fields = ("happened", "who", "action", "kind", "object_repr", "object_pk", "differences")
    readonly_fields = ("happened", "who", "kind", "differences")
    actions = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return activity_list(self.actor(request))

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        if obj is None:
            return super().has_view_permission(request)
        return self.get_queryset(request).filter(pk=obj.pk).exists()

    happened = moment_column("timestamp", _("Happened"))

    @admin.display(description=_("By"))
    def who(self, entry: LogEntry) -> str:
        by: str | None = (entry.additional_data or {}).get("by")
        return by or str(entry.actor or "—")

    @admin.display(description=_("Kind"))
    def kind(self, entry: LogEntry) -> str:
        return str(entry.content_type.name)

    @admin.display(description=_("Changes"))
    def differences(self, entry: LogEntry) -> SafeString:
        return json_block(entry.changes_dict)


class ChainAdmin(GuardedAdmin):
    """Base of pages about audit chains: to read, never to change."""

    view_perm = Perm.ACTIVITY_VIEW
    workspace_path = "workspace_id"
    moment = moment_column("at", _("At"))
    ordering = ("-at", "-sequence")
    actions = ()

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        if obj is None:
            return super().has_view_permission(request)
        return self.get_queryset(request).filter(pk=obj.pk).exists()


@admin.register(AuditEntry)
class AuditEntryAdmin(ChainAdmin):
    list_display = ("sequence", "chain", "moment", "by", "action", "subject")
    list_filter = ("workspace", "action")
    search_fields = ("actor_name", "subject_label", "subject_id")
    fields = (
        "sequence", "chain", "at", "by", "token_id", "action", "subject", "subject_id", "details",
        "previous_hash", "hash",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return audit_list(self.actor(request)).order_by(*self.ordering)

    @admin.display(description=_("Chain"))
    def chain(self, entry: AuditEntry) -> str:
        return _chain_label(entry)

    @admin.display(description=_("By"), ordering="actor_name")
    def by(self, entry: AuditEntry) -> str:
        return entry.actor_name or NOTHING

    @admin.display(description=_("Subject"), ordering="subject_label")
    def subject(self, entry: AuditEntry) -> str:
        return f"{entry.subject_kind} {entry.subject_label}".strip()

    @admin.display(description=_("Details"))
    def details(self, entry: AuditEntry) -> SafeString:
        return json_block(entry.payload)

    @admin.display(description=_("Details"))
    def details_withheld(self, entry: AuditEntry) -> SafeString:
        shown, is_hidden = payload_shown(entry, is_readable=False)
        return format_html("{}{}", json_block(shown), WITHHELD if is_hidden else "")

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        is_readable = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        details = "details" if is_readable else "details_withheld"
        return tuple(details if name == "details" else name for name in self.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj)


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ChainAdmin):
    lesson = "console/lessons/signatures.html"
    list_display = ("sequence", "chain", "moment", "key_id")
    list_filter = ("workspace",)
    search_fields = ("hash", "key_id")
    fields = ("sequence", "chain", "at", "hash", "key_id", "signature")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return checkpoint_list(self.actor(request)).order_by(*self.ordering)

    @admin.display(description=_("Chain"))
    def chain(self, checkpoint: AuditCheckpoint) -> str:
        return _chain_label(checkpoint)


def _chain_label(row: AuditEntry | AuditCheckpoint) -> str:
    """Return whose chain it is; a workspace that is gone by its id."""
    if row.workspace_id is None:
        return "site"
    return row.workspace.name if row.workspace is not None else str(row.workspace_id)
