"""Saved filters in the console: kept from the list of runs, seen in it, deleted here."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.models import SavedFilter
from agents.selectors.saved_filters import saved_filter_list
from agents.services.saved_filters import saved_filter_create, saved_filter_delete
from core.admin import moment_column
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.admin import GuardedAdmin


@admin.register(SavedFilter)
class SavedFilterAdmin(GuardedAdmin):
    """Whoever sees runs keeps filters; a kept one does not change."""

    view_perm = Perm.RUN_VIEW
    edit_perm = Perm.RUN_VIEW
    can_add = True
    can_delete = True
    lesson = "console/lessons/saved_filters.html"
    explanation = _("Questions about runs under a name: yours, and those shared with a workspace.")
    list_display = ("name", "leads_to", "is_shared", "owner", "workspace", "created")
    list_filter = ("is_shared", "workspace")
    list_select_related = ("owner", "workspace")
    search_fields = ("name",)
    fields = ("name", "query", "workspace", "is_shared")
    actions = ()

    created = moment_column("created_at", _("Saved"))

    @admin.display(description=_("List"))
    def leads_to(self, row: SavedFilter) -> SafeString:
        url = f"{reverse('admin:agents_run_changelist')}?{row.query}"
        return format_html('<a href="{}">{}</a>', url, row.query or gettext("all runs"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super()
            .get_queryset(request)
            .filter(pk__in=saved_filter_list(actor=self.actor(request)).values("pk"))
        )

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        if obj is None or not super().has_delete_permission(request, obj):
            return obj is None and super().has_delete_permission(request, obj)
        actor = self.actor(request)
        is_mine = obj.owner_id == actor.user_id
        return is_mine or access.can(actor, Perm.WORKSPACE_MANAGE, obj.workspace_id)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """The list of runs says in its link what shall be kept."""
        return {"query": request.GET.get("query", "")}

    def save_row(
        self, actor: Actor, row: SavedFilter, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> SavedFilter:
        return saved_filter_create(
            actor=actor,
            workspace=row.workspace,
            name=row.name,
            query=row.query,
            is_shared=row.is_shared,
        )

    def delete_row(self, actor: Actor, row: SavedFilter) -> None:
        saved_filter_delete(actor=actor, filter_id=row.pk)
