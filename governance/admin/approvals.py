"""Pages of approvals: the inbox, one question with its evidence, and deciding it."""

import json
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import (
    NOTHING,
    WITHHELD,
    json_block,
    moment_column,
    no_sandbox,
    pill,
    row_link,
    short_id,
    told,
)
from core.errors import DomainError
from governance import access
from governance.admin.grants import GrantForm
from governance.contracts import DECIDING, ApprovalKind, ApprovalState, Perm, Verdict
from governance.guard.admin import GuardedAdmin
from governance.guard.question import is_unprotected, question_shown, voter
from governance.models import Approval, ApprovalVote
from governance.selectors.approvals import decider_of
from governance.services.approvals import approval_decide, grant_give, grant_propose
from governance.services.approvals.deciding import MAX_REASON_CHARS

_VERDICTS = (
    (
        Verdict.APPROVE.value,
        _("Yes"),
        _("It is done once, exactly as shown, unless something it depends on has changed by then."),
    ),
    (
        Verdict.DENY.value,
        _("No"),
        _("Nothing is done. The model is told your reason and decides what to do next."),
    ),
)


_BACK = {True: "admin:approval_queue_open", False: "admin:governance_approval_change"}


class StateFilter(admin.SimpleListFilter):
    """States of approvals, those that wait for somebody first."""

    title = "state"
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in ApprovalState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class OtherArguments(forms.JSONField):
    """Arguments in place of those asked for; nothing given is shown as nothing."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class DecisionForm(forms.Form):
    verdict = forms.ChoiceField(choices=[(value, title) for value, title, _ in _VERDICTS])
    reason = forms.CharField(
        required=False,
        max_length=MAX_REASON_CHARS,
        label=_("Reason"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Kept in the record. The model is told why you denied or changed it."),
    )
    arguments = OtherArguments(
        required=False,
        label=_("Other arguments"),
        widget=forms.Textarea(attrs={"rows": 6, "class": "code", "spellcheck": "false"}),
        help_text=_(
            "Leave empty to approve what was asked. Otherwise the whole new arguments, as "
            "JSON; both are kept."
        ),
    )

    choice = forms.CharField(required=False, max_length=40, label=_("Choice"),
                             help_text=_("Where the question has choices of its own."))  # fmt: skip
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def clean_arguments(self) -> dict[str, Any] | None:
        given = self.cleaned_data["arguments"]
        if given is not None and not isinstance(given, dict):
            raise forms.ValidationError(gettext("Write a JSON object."))
        return given


@admin.register(Approval)
class ApprovalAdmin(GuardedAdmin):
    """Questions to people, to read; whoever may can answer the open ones."""

    view_perm = Perm.APPROVAL_VIEW
    explanation = _("What agents may do only after a person has said yes to exactly that.")
    lesson = "console/lessons/approvals.html"
    change_form_template = "admin/governance/approval/change_form.html"
    list_display = ("title_shown", "state_shown", "for_whom", "asked_for", "run_shown",
                    "asked", "expires")  # fmt: skip
    list_filter = (StateFilter, "workspace")
    list_per_page = 50
    search_fields = ("title", "agent_name", "requester_name", "id__istartswith",
                     "run_id__istartswith")  # fmt: skip
    ordering = ("-pk",)
    actions = ()

    @admin.display(description=_("Title"), ordering="title")
    def title_shown(self, row: Approval) -> SafeString | str:
        return format_html("{} {}", row.title, no_sandbox()) if is_unprotected(row) else row.title

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, row: Approval) -> SafeString:
        return pill(row.state)

    @admin.display(description=_("For"))
    def for_whom(self, row: Approval) -> str:
        names = ", ".join(row.approvers) or gettext("whoever may decide")
        return (
            names
            if row.quorum == 1
            else gettext("%(quorum)s of: %(names)s") % {"quorum": row.quorum, "names": names}
        )

    @admin.display(description=_("Asked for by"), ordering="requester_name")
    def asked_for(self, row: Approval) -> str:
        return row.requester_name or NOTHING

    @admin.display(description=_("Run"))
    def run_shown(self, row: Approval) -> SafeString | str:
        if row.run_id is None:
            return NOTHING
        return row_link("agents_run", row.run_id, short_id(row.run_id))

    asked = moment_column("created_at", _("Asked"))

    expires = moment_column("expires_at", _("Expires"))

    decided = moment_column("decided_at", _("Decided"))

    used = moment_column("used_at", _("Begun"))

    @admin.display(description=_("Why"))
    def question_shown(self, row: Approval) -> str:
        return row.question or NOTHING

    @admin.display(description=_("Reason"))
    def reason_shown(self, row: Approval) -> str:
        return row.reason or NOTHING

    @admin.display(description=_("Bound to"))
    def binding_shown(self, row: Approval) -> SafeString:
        return format_html("{}<p><code>{}</code></p>", json_block(row.binding), row.binding_digest)

    @admin.display(description=_("Votes"))
    def votes_shown(self, row: Approval) -> SafeString | str:
        rows = row.votes.select_related("user", "for_user")
        votes = [(voter(vote), told(vote.verdict)) for vote in rows]
        return format_html_join(", ", "{}: {}", votes) if votes else NOTHING

    @admin.display(description=_("Arguments and reasons"))
    def withheld(self, row: Approval) -> str:
        return str(WITHHELD)

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        is_readable = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        whose = ("agent_name", "asked_for", "run_shown", "rule")
        # Digests of arguments: whoever can guess those could make sure with them.
        bound = (gettext("What a yes is bound to"), {"fields": ("binding_shown",)})
        return (
            (None, {"fields": (*whose, "reason_shown" if is_readable else "withheld")}),
            (
                gettext("Who decides"),
                {"fields": ("for_whom", "votes_shown", "decided_by_name", "surface")},
            ),
            (gettext("When"), {"fields": ("asked", "expires", "on_expiry", "decided", "used")}),
            *((bound,) if is_readable else ()),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return [
            name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]
        ]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        give = self.admin_site.admin_view(self.grant_view)
        return [
            path("<uuid:approval_id>/decide/", view, name="governance_approval_decide"),
            path("<uuid:approval_id>/grant/", give, name="governance_approval_grant"),
            *super().get_urls(),
        ]

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return {}
        return {
            "state": pill(row.state),
            "no_sandbox": no_sandbox() if is_unprotected(row) else "",
            "question": question_shown(self.actor(request), row),
            "queue_url": reverse("admin:approval_queue_open", args=[row.pk]),
            "decide_url": reverse("admin:governance_approval_decide", args=[row.pk]),
            "grant_url": reverse("admin:governance_approval_grant", args=[row.pk]),
        }

    def grant_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """Show which calls a standing approval would cover (GET), then give it (POST)."""
        row = self.get_object(request, str(approval_id))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        for needed in (Perm.APPROVAL_DECIDE, Perm.RUN_PAYLOAD):
            if not self._may(request, needed, row):
                raise PermissionDenied(f"This needs the permission {needed}.")
        proposal = grant_propose(actor=self.actor(request), approval_id=row.pk)
        shown = json.dumps(proposal.pattern, indent=2, ensure_ascii=False)
        form = GrantForm(request.POST if request.method == "POST" else None,
                         initial={"pattern": proposal.pattern, "days": 7,
                                  "seen": row.binding_digest})  # fmt: skip
        is_from_queue = request.GET.get("from") == "queue"
        if request.method == "POST" and form.is_valid():
            try:
                grant = grant_give(
                    actor=self.actor(request),
                    approval_id=row.pk,
                    surface="console",
                    **form.given(),
                )
            except DomainError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(
                    request, gettext("Calls alike are not asked about."), messages.SUCCESS
                )
                found = reverse("admin:governance_grant_change", args=[grant.pk])
                queue = reverse("admin:approval_queue")
                return HttpResponseRedirect(queue if is_from_queue else found)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("%(title)s: this, and calls alike?") % {"title": row.title},
            "opts": self.opts,
            "original": row,
            "form": form,
            "proposal": proposal,
            "shown": shown,
            "arguments": json_block(proposal.arguments),
            "back": reverse(_BACK[is_from_queue], args=[row.pk]),
        }
        return TemplateResponse(request, "admin/governance/approval/grant.html", context)

    def decide_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """Show what is asked and what an answer means (GET), then answer (POST)."""
        row = self.get_object(request, str(approval_id))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        decider = decider_of(self.actor(request), row.workspace_id)
        needed = DECIDING[ApprovalKind(row.kind)]
        if needed not in decider.held and not decider.stands_for:
            raise PermissionDenied(f"This needs the permission {needed}.")
        back = reverse("admin:governance_approval_change", args=[row.pk])
        form = DecisionForm(request.POST if request.method == "POST" else None,
                            initial={"seen": row.binding_digest})  # fmt: skip
        if request.method == "POST" and form.is_valid():
            self._decide(request, row, form)
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("%(title)s: yes or no?") % {"title": row.title},
            "opts": self.opts,
            "original": row,
            "form": form,
            "verdicts": _VERDICTS,
            "no_sandbox": no_sandbox() if is_unprotected(row) else "",
            "chosen": form["verdict"].value(),
            "question": question_shown(self.actor(request), row),
            "back": back,
        }
        return TemplateResponse(request, "admin/governance/approval/decide.html", context)

    def _decide(self, request: HttpRequest, row: Approval, form: DecisionForm) -> None:
        given = dict(form.cleaned_data)
        try:
            decided = approval_decide(
                actor=self.actor(request),
                approval_id=row.pk,
                surface="console",
                seen_digest=given.pop("seen"),
                **given,
            )
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            is_open = decided.state == ApprovalState.PENDING.value
            sentence = (
                gettext("Your vote counts; others must agree.")
                if is_open
                else gettext("It is decided.")
            )
            self.message_user(request, sentence, messages.SUCCESS)


@admin.register(ApprovalVote)
class ApprovalVoteAdmin(GuardedAdmin):
    """What people said; nobody edits it."""

    view_perm = Perm.APPROVAL_VIEW
    workspace_path = "approval__workspace"
    lesson = "console/lessons/votes.html"
    explanation = _("Every yes and no that somebody gave, also where more than one was needed.")
    list_display = ("approval", "user", "for_user", "verdict", "surface", "given")
    list_filter = ("verdict",)
    list_select_related = ("approval", "user", "for_user")
    search_fields = ("approval__title", "user__username")
    fields = ("approval", "user", "for_user", "verdict", "surface", "given")
    readonly_fields = fields
    actions = ()

    given = moment_column("at", _("Given"))
