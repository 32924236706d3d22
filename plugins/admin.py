"""Console pages of tools: the effect ledger, calls in doubt, and declared tools."""

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Field, QuerySet, URLField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import (
    NOTHING,
    WITHHELD,
    duration,
    json_block,
    moment_column,
    no_sandbox,
    pill,
    row_link,
    short_id,
    switch_column,
    text_block,
    told,
)
from core.errors import DomainError
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.admin import GuardedAdmin
from governance.guard.saving import ServiceAdmin
from plugins.contracts import CallState, ToolKind
from plugins.models import ToolCall, ToolDefinition
from plugins.selectors import call_is_unprotected
from plugins.selectors.tools import is_unprotected
from plugins.services.calls import Resolution, call_resolve
from plugins.services.tools import tool_create, tool_delete, tool_update
from sandbox.contracts import Isolation

if TYPE_CHECKING:
    _ToolForm = forms.ModelForm[ToolDefinition]
else:  # generic for the type checker only
    _ToolForm = forms.ModelForm

_IT_HAPPENED = _(
    "The call is settled as done, and nothing is done again. The model is told the result you "
    "write below."
)
_DO_IT = _(
    "The call is made again, under the same idempotency key. Choose this only when you are sure: "
    "if it happened after all, it happens twice."
)
_DO_NOT = _("The call is settled as failed. The model is told so and decides what to do next.")
_OUTCOMES = (
    (Resolution.COMMITTED.value, _("It happened"), _IT_HAPPENED),
    (Resolution.FAILED.value, _("It did not happen, and shall not"), _DO_NOT),
    (Resolution.RETRY.value, _("It did not happen; do it now"), _DO_IT),
)


class StateFilter(admin.SimpleListFilter):
    """States of the ledger, those that need somebody first."""

    title = "state"
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ordered = sorted(CallState, key=lambda state: state is not CallState.IN_DOUBT)
        return [(state.value, state.value.replace("_", " ")) for state in ordered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ToolCall]) -> QuerySet[ToolCall]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class ResolveForm(forms.Form):
    outcome = forms.ChoiceField(choices=[(value, title) for value, title, _ in _OUTCOMES])
    result = forms.CharField(
        required=False,
        label=_("Result"),
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_("What the model is told. Only for a call that happened, or failed."),
    )
    note = forms.CharField(
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("How you found out. Kept with the call and in the run's trace."),
    )


@admin.register(ToolCall)
class ToolCallAdmin(GuardedAdmin):
    """Entries of the ledger to read; a call in doubt can be settled by whoever may."""

    view_perm = Perm.RUN_VIEW
    workspace_path = "workspace_id"
    explanation = _(
        "Every effect an agent asked for: written before it happens, settled afterwards."
    )
    lesson = "console/lessons/calls.html"
    change_form_template = "admin/plugins/toolcall/change_form.html"
    list_display = (
        "tool_shown",
        "state_shown",
        "effect",
        "attempt",
        "took",
        "run_shown",
        "planned",
    )
    list_filter = (StateFilter, "effect")
    list_per_page = 50
    search_fields = ("tool__icontains", "id__istartswith", "run_id__istartswith")
    search_help_text = "Tool, or the beginning of a call's or run's id"
    ordering = ("-planned_at",)
    actions = ()

    @admin.display(description=_("Tool"), ordering="tool")
    def tool_shown(self, call: ToolCall) -> SafeString | str:
        if not call_is_unprotected(call):
            return call.tool
        return format_html("{} {}", call.tool, no_sandbox())

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, call: ToolCall) -> SafeString:
        return pill(call.state)

    @admin.display(description=_("Run"))
    def run_shown(self, call: ToolCall) -> SafeString:
        return row_link("agents_run", call.run_id, short_id(call.run_id))

    @admin.display(description=_("Took"))
    def took(self, call: ToolCall) -> str:
        if call.dispatched_at is None or call.settled_at is None:
            return NOTHING
        return duration((call.settled_at - call.dispatched_at).total_seconds())

    planned = moment_column("planned_at", _("Planned"))

    dispatched = moment_column("dispatched_at", _("Dispatched"))

    settled = moment_column("settled_at", _("Settled"))

    @admin.display(description=_("Idempotency key"))
    def key_shown(self, call: ToolCall) -> SafeString:
        return format_html("<code>{}</code>", call.pk)

    @admin.display(description=_("Arguments"))
    def arguments_shown(self, call: ToolCall) -> SafeString:
        return json_block(call.arguments)

    @admin.display(description=_("Result"))
    def result_shown(self, call: ToolCall) -> SafeString | str:
        return text_block(call.result) if call.result else NOTHING

    @admin.display(description=_("Reason"))
    def reason_shown(self, call: ToolCall) -> str:
        return call.reason or NOTHING

    @admin.display(description=_("Decision"))
    def decision_shown(self, call: ToolCall) -> SafeString | str:
        return json_block(call.decision) if call.decision else NOTHING

    @admin.display(description=_("Arguments and result"))
    def withheld(self, call: ToolCall) -> str:
        return str(WITHHELD)

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        is_readable = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        content = ("arguments_shown", "result_shown", "reason_shown", "decision_shown")
        return (
            (None, {"fields": ("run_shown", "effect", "attempt", "key_shown")}),
            (
                gettext("What was asked and what came"),
                {"fields": content if is_readable else ("withheld",)},
            ),
            (gettext("When"), {"fields": ("planned", "dispatched", "settled", "took")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return [
            name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]
        ]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.resolve_view)
        return [
            path("<uuid:call_id>/resolve/", view, name="plugins_toolcall_resolve"),
            *super().get_urls(),
        ]

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        call = self.get_object(request, object_id)
        if call is None:
            return {}
        return {
            "state": pill(call.state),
            "no_sandbox": no_sandbox() if call_is_unprotected(call) else "",
            "is_in_doubt": call.state == CallState.IN_DOUBT.value,
            "may_resolve": self._may_resolve(request, call),
            "resolve_url": reverse("admin:plugins_toolcall_resolve", args=[call.pk]),
        }

    def resolve_view(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        """Explain the consequences (GET), then say what happened (POST)."""
        call = self.get_object(request, str(call_id))
        if call is None or not self.has_view_permission(request, call):
            raise PermissionDenied
        if not self._may(request, Perm.TOOL_CALL_RESOLVE, call):
            raise PermissionDenied(f"This needs the permission {Perm.TOOL_CALL_RESOLVE}.")
        back = reverse("admin:plugins_toolcall_change", args=[call.pk])
        if call.state != CallState.IN_DOUBT.value:
            by = (call.decision or {}).get("resolved_by")
            sentence = (
                gettext("The call is %(state)s by %(by)s; only a call in doubt can be resolved.")
                if by
                else gettext("The call is %(state)s; only a call in doubt can be resolved.")
            ) % {"state": told(call.state), "by": by}
            self.message_user(request, sentence, messages.ERROR)
            return HttpResponseRedirect(back)
        form = ResolveForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            self._resolve(request, call, form)
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What became of %(tool)s?") % {"tool": call.tool},
            "opts": self.opts,
            "original": call,
            "form": form,
            "outcomes": _OUTCOMES,
            "no_sandbox": no_sandbox() if call_is_unprotected(call) else "",
            "chosen": form["outcome"].value(),
            "is_readable": access.may_see_payload(self.actor(request), call.workspace_id),
            "arguments": json_block(call.arguments),
            "back": back,
        }
        return TemplateResponse(request, "admin/plugins/toolcall/resolve.html", context)

    def _resolve(self, request: HttpRequest, call: ToolCall, form: ResolveForm) -> None:
        try:
            call_resolve(actor=self.actor(request), call_id=call.pk, **form.cleaned_data)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            sentence = gettext(
                "The call is settled. Its run goes on by itself when nothing else is open."
            )
            self.message_user(request, sentence, messages.SUCCESS)

    def _may_resolve(self, request: HttpRequest, call: ToolCall) -> bool:
        is_in_doubt = call.state == CallState.IN_DOUBT.value
        return is_in_doubt and self._may(request, Perm.TOOL_CALL_RESOLVE, call)


def _form_field(field: "Field[Any, Any]", **options: Any) -> forms.Field | None:
    if isinstance(field, URLField):
        options["assume_scheme"] = "https"
    return field.formfield(**options)


def _code(rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"class": "code", "spellcheck": "false", "rows": rows})


_ENGINES = [("", _("the site's own"))] + [
    (
        member.value,
        _("disabled: no sandbox at all") if member is Isolation.DISABLED else member.value,
    )
    for member in Isolation
    if member is not Isolation.SITE
]


class ToolForm(_ToolForm):
    class Meta:
        model = ToolDefinition
        formfield_callback = _form_field
        fields: ClassVar = (
            "workspace", "name", "kind", "description", "effect", "is_privileged", "is_enabled",
            "method", "url", "headers", "timeout_seconds", "probe_url", "input_schema", "command",
            "engine", "net", "limits", "secrets", "output_schema", "probe_command", "plan_command",
        )  # fmt: skip
        widgets: ClassVar = {
            "description": forms.Textarea(attrs={"rows": 3}),
            "input_schema": _code(16),
            "output_schema": _code(8),
            "command": _code(8),
            "probe_command": _code(3),
            "plan_command": _code(3),
            "net": _code(2),
            "limits": _code(3),
            "secrets": _code(2),
            "engine": forms.Select(choices=_ENGINES),
            "headers": _code(2),
        }
        labels: ClassVar = {
            "url": _("Address"),
            "probe_url": _("Address to probe"),
            "net": _("Network"),
            "timeout_seconds": _("Time-out in seconds"),
        }


@admin.register(ToolDefinition)
class ToolDefinitionAdmin(ServiceAdmin):
    view_perm = Perm.TOOL_VIEW
    document_kind = "Tool"
    edit_perm = Perm.TOOL_EDIT
    can_add = True
    can_delete = True
    form = ToolForm
    formfield_overrides: ClassVar = {URLField: {"assume_scheme": "https"}}
    explanation = _("HTTP endpoints and commands that agents may call, beside the built-in tools.")
    lesson = "console/lessons/tools.html"
    change_form_template = "admin/plugins/tooldefinition/change_form.html"
    fixed_fields = ("workspace", "name")
    list_display = ("name", "kind", "effect", "target", "state_shown", "workspace", "updated")
    list_filter = ("kind", "effect", "is_enabled", "workspace")
    list_select_related = ("workspace",)
    search_fields = ("name", "description", "url", "command")
    fieldsets = (
        (None, {"fields": ("workspace", "name", "kind", "description", "is_enabled")}),
        (
            _("What calling it does"),
            {
                "fields": ("effect", "is_privileged", "timeout_seconds"),
                "description": _(
                    "The effect decides what may happen after a crash: read and "
                    "idempotent calls are repeated, keyed ones under the same key, irreversible "
                    "ones never without a probe or a person."
                ),
            },
        ),
        (
            _("Request, for an HTTP endpoint"),
            {"fields": ("method", "url", "headers", "probe_url")},
        ),
        (
            _("Command, which runs in a sandbox"),
            {
                "fields": (
                    "command",
                    "engine",
                    "net",
                    "limits",
                    "secrets",
                    "output_schema",
                    "probe_command",
                    "plan_command",
                ),
                "description": _(
                    "Arguments reach it as $ARG_NAME, as JSON in $AGENTRY_ARGUMENTS and "
                    "on standard input; never as part of its text."
                ),
            },
        ),
        (_("Arguments"), {"fields": ("input_schema",)}),
    )
    actions = ()

    state_shown = switch_column()

    updated = moment_column("updated_at", _("Changed"))

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        return {"no_sandbox": no_sandbox() if row is not None and is_unprotected(row) else ""}

    @admin.display(description=_("Calls"))
    def target(self, row: ToolDefinition) -> str | SafeString:
        if is_unprotected(row):
            return no_sandbox()
        if row.kind == ToolKind.COMMAND.value:
            return row.command.strip().splitlines()[0][:80] if row.command.strip() else NOTHING
        return f"{row.method} {row.url}"

    def save_row(
        self, actor: Actor, row: ToolDefinition, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> ToolDefinition:
        # What was left blank is not said; `output_schema` alone may be nothing.
        blank: dict[str, Any] = {"net": [], "limits": {}, "secrets": [], "headers": {}}
        given: dict[str, Any] = {
            field: blank[field] if value is None and field in blank else value
            for field, value in form.cleaned_data.items()
        }
        workspace, name = given.pop("workspace", None), given.pop("name", "")
        if is_new:
            return tool_create(actor=actor, workspace=workspace, name=name, **given)
        return tool_update(actor=actor, tool=ToolDefinition.objects.get(pk=row.pk), **given)

    def delete_row(self, actor: Actor, row: ToolDefinition) -> None:
        tool_delete(actor=actor, tool=row)
