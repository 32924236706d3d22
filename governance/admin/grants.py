"""Pages of standing approvals, of their uses, and of who decides for whom."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import NOTHING, WITHHELD, json_block, moment_column, pill, row_link, short_id
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.admin import GuardedAdmin
from governance.models import Delegation, Grant, GrantUse
from governance.services.approvals import grant_revoke
from governance.services.approvals.deciding import MAX_REASON_CHARS
from governance.services.approvals.granting import MAX_SECONDS, MAX_USES
from governance.services.delegations import delegation_create, delegation_end

if TYPE_CHECKING:
    _DelegationForm = forms.ModelForm[Delegation]
else:  # generic for the type checker only
    _DelegationForm = forms.ModelForm

_DAY = 86_400


class GrantForm(forms.Form):
    """Which calls are alike, how many of them, and for how long."""

    pattern = forms.JSONField(
        label=_("Which calls"),
        widget=forms.Textarea(attrs={"rows": 10, "class": "code", "spellcheck": "false"}),
        help_text=_(
            "Proposed: exactly this one. Widen it with glob, min and max, or a list of "
            "values; `paths` and `hosts` are for what the arguments name. What no test speaks "
            "of is asked about."
        ),
    )
    uses = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_USES, label=_("How many calls"),
        help_text=_("Empty: as many as come."),
    )  # fmt: skip
    days = forms.IntegerField(min_value=1, max_value=int(MAX_SECONDS // _DAY), label=_("Days"))
    any_requester = forms.BooleanField(
        required=False, label=_("Whoever asks"), help_text=_("But never yourself.")
    )
    any_agent = forms.BooleanField(required=False, label=_("Of every agent"))
    reason = forms.CharField(required=False, max_length=MAX_REASON_CHARS, label=_("Reason"))
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def clean_pattern(self) -> dict[str, Any]:
        given = self.cleaned_data["pattern"]
        if not isinstance(given, dict):
            raise forms.ValidationError(gettext("Write a JSON object."))
        return given

    def given(self) -> dict[str, Any]:
        """Return what the service takes."""
        kept = dict(self.cleaned_data)
        seconds, seen = float(kept.pop("days") * _DAY), kept.pop("seen")
        return {**kept, "seconds": seconds, "seen_digest": seen}


@admin.register(Grant)
class GrantAdmin(GuardedAdmin):
    """Standing approvals; whoever may decide can end them."""

    view_perm = Perm.APPROVAL_VIEW
    lesson = "console/lessons/grants.html"
    explanation = _("Calls that are not asked about, because somebody said yes to calls alike.")
    list_display = ("tool", "state_shown", "agent", "requester", "granted_by_name", "used_shown",
                    "expires")  # fmt: skip
    list_filter = ("state", "workspace")
    search_fields = ("tool", "agent_name", "granted_by_name", "id__istartswith")
    ordering = ("-pk",)
    actions = ("revoke_selected",)

    expires = moment_column("expires_at", _("Expires"))
    given = moment_column("created_at", _("Given"))
    ended = moment_column("ended_at", _("Ended"))

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Perm.APPROVAL_DECIDE, None)

    @admin.action(description=_("Revoke the selected grants"), permissions=["decide"])
    def revoke_selected(self, request: HttpRequest, rows: QuerySet[Grant]) -> None:
        for row in rows:
            grant_revoke(actor=self.actor(request), grant_id=row.pk)
        self.message_user(request, gettext("Calls alike are asked about again."), messages.SUCCESS)

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, row: Grant) -> SafeString:
        return pill(row.state)

    @admin.display(description=_("Agent"))
    def agent(self, row: Grant) -> str:
        return row.agent_name or "any"

    @admin.display(description=_("For"))
    def requester(self, row: Grant) -> str:
        return row.requester_name or "anybody"

    @admin.display(description=_("Uses"))
    def used_shown(self, row: Grant) -> str:
        return (
            gettext("%(uses)s of %(uses_max)s") % {"uses": row.uses, "uses_max": row.uses_max}
            if row.uses_max
            else str(row.uses)
        )

    @admin.display(description=_("Pattern"))
    def pattern_shown(self, row: Grant) -> SafeString:
        return json_block(row.pattern)

    @admin.display(description=_("Bound to"))
    def facts_shown(self, row: Grant) -> SafeString:
        return json_block(row.facts)

    @admin.display(description=_("Given with"))
    def approval_shown(self, row: Grant) -> SafeString | str:
        if row.approval_id is None:
            return NOTHING
        return row_link("governance_approval", row.approval_id, short_id(row.approval_id))

    @admin.display(description=_("Pattern and reasons"))
    def withheld(self, row: Grant) -> str:
        return str(WITHHELD)

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        is_readable = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        content = ("pattern_shown", "reason", "ended_reason") if is_readable else ("withheld",)
        whose = ("tool", "agent", "requester", "rule", "granted_by_name", "approval_shown")
        return (
            (None, {"fields": whose}),
            (gettext("Which calls"), {"fields": content}),
            (
                gettext("Uses"),
                {"fields": ("used_shown", "given", "expires", "ended", "ended_by_name")},
            ),
            (gettext("What it is bound to"), {"fields": ("facts_shown",)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return [
            name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]
        ]


@admin.register(GrantUse)
class GrantUseAdmin(GuardedAdmin):
    """What was not asked about; nobody edits it."""

    view_perm = Perm.APPROVAL_VIEW
    workspace_path = "grant__workspace"
    lesson = "console/lessons/grant_uses.html"
    explanation = _("Every call that a standing approval let go unasked.")
    list_display = ("grant", "run_shown", "agent_name", "requester_name", "used")
    list_select_related = ("grant",)
    search_fields = ("agent_name", "requester_name", "run_id__istartswith")
    fields = ("grant", "run_shown", "subject_id", "agent_name", "requester_name",
              "arguments_digest", "used")  # fmt: skip
    readonly_fields = fields
    actions = ()

    used = moment_column("at", _("Used"))

    @admin.display(description=_("Run"))
    def run_shown(self, row: GrantUse) -> SafeString:
        return row_link("agents_run", row.run_id, short_id(row.run_id))


class DelegationForm(_DelegationForm):
    class Meta:
        model = Delegation
        fields: ClassVar = ("workspace", "delegator", "delegate", "from_at", "until_at", "reason")


@admin.register(Delegation)
class DelegationAdmin(GuardedAdmin):
    """Who decides for whom; admins enter it for others, everybody for themselves."""

    view_perm = Perm.APPROVAL_VIEW
    edit_perm = Perm.APPROVAL_DECIDE
    can_add = True
    form = DelegationForm
    lesson = "console/lessons/delegations.html"
    explanation = _("While one person is away, another decides for them.")
    list_display = ("delegator", "delegate", "workspace", "begins", "ends", "ended")
    list_filter = ("workspace",)
    list_select_related = ("delegator", "delegate", "workspace")
    search_fields = ("delegator__username", "delegate__username")
    fields = ("workspace", "delegator", "delegate", "from_at", "until_at", "reason")
    fixed_fields = fields
    actions = ("end_selected",)

    begins = moment_column("from_at", _("From"))
    ends = moment_column("until_at", _("Until"))
    ended = moment_column("ended_at", _("Ended"))

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False  # it is lent and ended, never changed

    def has_view_selected_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.view_perm, None)

    @admin.action(description=_("End the selected delegations"), permissions=["view_selected"])
    def end_selected(self, request: HttpRequest, rows: QuerySet[Delegation]) -> None:
        for row in rows:
            delegation_end(actor=self.actor(request), delegation_id=row.pk)
        self.message_user(request, gettext("They decide for themselves again."), messages.SUCCESS)

    def save_row(
        self, actor: Actor, row: Delegation, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Delegation:
        return delegation_create(
            actor=actor,
            workspace=row.workspace,
            delegator=row.delegator.username,
            delegate=row.delegate.username,
            from_at=row.from_at,
            until_at=row.until_at,
            reason=row.reason,
        )
