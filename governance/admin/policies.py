"""Pages of policies: the draft with its test cases, what is in force, and publishing."""

from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import moment_column, text_block, text_difference
from core.errors import DomainError
from governance import access
from governance.admin.policy_page import CasesShown, cases_shown, in_force, policy_page
from governance.contracts import BUILTIN_ROLES, Actor, Perm
from governance.guard.saving import ServiceAdmin
from governance.models import Policy
from governance.services.policies import (
    draft_digest,
    policy_publish,
    policy_put,
    policy_shadow_end,
)

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    _PolicyForm = forms.ModelForm[Policy]
else:  # generic for the type checker only
    _PolicyForm = forms.ModelForm

_FIRST: Final = """\
version: 1
rules:
  - name: repository-is-free
    tools: ["git.*"]
    effect: allow
"""
_MODES: Final = (
    (
        "in_force",
        _("Put it in force"),
        (
            _(
                "Calls that have not begun are judged by it from now on, and approvals given "
                "under the version before do not hold any more."
            )
        ),
    ),
    (
        "shadow",
        _("Ask it as a shadow"),
        (
            _(
                "It is asked beside what decides, and decides nothing. What it would have decided "
                "otherwise is kept. It takes the place of the shadow before it."
            )
        ),
    ),
)


class PolicyForm(_PolicyForm):
    class Meta:
        model = Policy
        fields: ClassVar = ("workspace", "language", "draft", "cases")
        labels: ClassVar = {"cases": _("Test cases")}
        widgets: ClassVar = {
            "draft": forms.Textarea(attrs={"rows": 24, "class": "code", "spellcheck": "false"}),
            "cases": forms.Textarea(attrs={"rows": 12, "class": "code", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self.initial.setdefault("draft", _FIRST)


class PublishForm(forms.Form):
    """`seen` names the draft that the page showed: nothing else is published."""

    mode = forms.ChoiceField(choices=[(value, title) for value, title, _ in _MODES])
    note = forms.CharField(
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Why, for those who read the versions and the audit chain later."),
    )
    despite_failures = forms.BooleanField(
        required=False,
        label=_("Publish although test cases fail"),
        help_text=_("The version and the audit chain say that you did."),
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)


@admin.register(Policy)
class PolicyAdmin(ServiceAdmin):
    view_perm = Perm.POLICY_VIEW
    edit_perm = Perm.POLICY_EDIT
    can_add = True
    form = PolicyForm
    explanation = _("What tool calls are judged by: allowed, denied, or asked about.")
    document_kind = "Policy"
    lesson = "console/lessons/policies.html"
    change_form_template = "admin/governance/policy/change_form.html"
    fixed_fields = ("workspace",)
    list_display = ("workspace", "in_force", "changed")
    list_select_related = ("workspace",)
    places: ClassVar[dict[str, str]] = {"source": "draft", "cases": "cases", "*": "draft"}
    actions = ()

    changed = moment_column("updated_at", _("Draft changed"))

    @admin.display(description=_("In force"))
    def in_force(self, row: Policy) -> "SafeString | str":
        version = in_force(row)
        return (
            gettext("version %(number)s") % {"number": version.number}
            if version
            else gettext("the built-in rule")
        )

    @admin.display(description=_("Draft"))
    def draft_shown(self, row: Policy) -> "SafeString":
        return text_block(row.draft)

    @admin.display(description=_("Test cases"))
    def cases_shown(self, row: Policy) -> "SafeString":
        return text_block(row.cases)

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return ("workspace", "language", "draft", "cases")
        return ("language", "draft_shown", "cases_shown")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return super().get_readonly_fields(request, obj)
        return ("language", "draft_shown", "cases_shown")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:policy_id>/publish/", view(self.publish_view),
                 name="governance_policy_publish"),
            path("<uuid:policy_id>/end-shadow/", view(self.end_shadow_view),
                 name="governance_policy_end_shadow"),
            *super().get_urls(),
        ]  # fmt: skip

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return {}
        actor = self.actor(request)
        return {
            "policy": policy_page(row, actor),
            "may_edit": self.has_change_permission(request, row),
            "may_publish": self._may(request, Perm.POLICY_PUBLISH, row),
            "may_try": _may_try(actor, row),
            "publishers": _holders(Perm.POLICY_PUBLISH),
            "cases": cases_shown(actor, row) if "cases" in request.GET else None,
        }

    def save_row(
        self, actor: Actor, row: Policy, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Policy:
        return policy_put(
            actor,
            workspace=row.workspace,
            source=row.draft,
            language=row.language,
            cases=row.cases,
        )

    def publish_view(self, request: HttpRequest, policy_id: UUID) -> HttpResponse:
        """Show what publishing changes (GET), then publish exactly that (POST)."""
        row = self._publishable(request, policy_id)
        back = reverse("admin:governance_policy_change", args=[row.pk])
        actor = self.actor(request)
        form = PublishForm(
            request.POST if request.method == "POST" else None,
            initial={"mode": "in_force", "seen": draft_digest(row)},
        )
        if request.method == "POST" and form.is_valid() and self._publish(request, row, form):
            return HttpResponseRedirect(back)
        active = in_force(row)
        shown: CasesShown = cases_shown(actor, row)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Publish the policy of %(workspace)s") % {"workspace": row.workspace},
            "opts": self.opts,
            "original": row,
            "form": form,
            "modes": _MODES,
            "chosen": form["mode"].value(),
            "active": active,
            "difference": text_difference(active.source if active else "", row.draft),
            "is_same": active is not None and active.source == row.draft,
            "cases": shown,
            "may_try": _may_try(actor, row),
            "try_days": 7,
            "back": back,
        }
        return TemplateResponse(request, "admin/governance/policy/publish.html", context)

    def end_shadow_view(self, request: HttpRequest, policy_id: UUID) -> HttpResponse:
        """Ask the shadow no more."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self._publishable(request, policy_id)
        ended = policy_shadow_end(self.actor(request), workspace=row.workspace)
        sentence = gettext("No version is asked as a shadow.")
        if ended is not None:
            sentence = gettext(
                "Version %(number)s is asked no more. What it said otherwise stays."
            ) % {"number": ended.number}
        self.message_user(request, sentence, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:governance_policy_change", args=[row.pk]))

    def _publishable(self, request: HttpRequest, policy_id: UUID) -> Policy:
        row = self.get_object(request, str(policy_id))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        if not self._may(request, Perm.POLICY_PUBLISH, row):
            raise PermissionDenied(f"This needs the permission {Perm.POLICY_PUBLISH}.")
        found: Policy = row
        return found

    def _publish(self, request: HttpRequest, row: Policy, form: PublishForm) -> bool:
        given = form.cleaned_data
        try:
            version = policy_publish(
                self.actor(request),
                workspace=row.workspace,
                note=given["note"],
                as_shadow=given["mode"] == "shadow",
                despite_failures=given["despite_failures"],
                seen_digest=given["seen"],
            )
        except DomainError as error:
            form.add_error(None, str(error))
            form.data = {**request.POST.dict(), "seen": draft_digest(row)}
            return False
        how = gettext("asked as a shadow") if given["mode"] == "shadow" else gettext("in force")
        self.message_user(
            request,
            gettext("Version %(number)s is %(how)s.") % {"number": version.number, "how": how},
            messages.SUCCESS,
        )
        return True


def _holders(perm: Perm) -> str:
    """Name the built-in roles that have a permission."""
    return gettext(" and ").join(name for name, perms in BUILTIN_ROLES.items() if perm in perms)


def _may_try(actor: Actor, policy: Policy) -> bool:
    """Putting past calls to a policy takes seeing them, and what they were called with."""
    needed = (Perm.RUN_VIEW, Perm.RUN_PAYLOAD)
    return all(access.can(actor, perm, policy.workspace_id) for perm in needed)
