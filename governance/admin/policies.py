"""Pages of policies: the draft with publishing, and what was published."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from core.admin import NOTHING, WITHHELD, moment_column, pill, text_block
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.admin import GuardedAdmin
from governance.models import Policy, PolicyDifference, PolicyVersion
from governance.services.policies import policy_publish, policy_put

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    _PolicyForm = forms.ModelForm[Policy]
else:  # generic for the type checker only
    _PolicyForm = forms.ModelForm


class PolicyForm(_PolicyForm):
    publish = forms.ChoiceField(
        required=False,
        choices=(
            ("", "Keep it as a draft"),
            ("shadow", "Ask it as a shadow, which decides nothing"),
            ("in_force", "Put it in force"),
        ),
        label="Publish it now",
        help_text="In force, calls that have not begun are judged by it from then on, and "
        "approvals given under the version before do not hold any more. To see first what it would "
        "have changed about last week's calls: save the draft, then `agentry policy simulate`.",
    )
    despite_failures = forms.BooleanField(
        required=False,
        label="Publish although test cases fail",
        help_text="The audit chain says that you did.",
    )

    class Meta:
        model = Policy
        fields: ClassVar = ("workspace", "language", "draft", "cases")
        widgets: ClassVar = {
            "draft": forms.Textarea(attrs={"rows": 24, "class": "code", "spellcheck": "false"}),
            "cases": forms.Textarea(attrs={"rows": 12, "class": "code", "spellcheck": "false"}),
        }


@admin.register(Policy)
class PolicyAdmin(GuardedAdmin):
    view_perm = Perm.POLICY_VIEW
    edit_perm = Perm.POLICY_EDIT
    can_add = True
    form = PolicyForm
    explanation = "What tool calls are judged by: allowed, denied, or asked about."
    fixed_fields = ("workspace",)
    list_display = ("workspace", "changed")
    list_select_related = ("workspace",)
    fields = ("workspace", "language", "draft", "cases", "publish", "despite_failures")
    actions = ()

    changed = moment_column("updated_at", "Changed")

    def save_row(
        self, actor: Actor, row: Policy, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Policy:
        workspace = row.workspace
        policy = policy_put(
            actor,
            workspace=workspace,
            source=row.draft,
            language=row.language,
            cases=row.cases,
        )
        if wanted := form.cleaned_data.get("publish"):
            policy_publish(
                actor,
                workspace=workspace,
                as_shadow=wanted == "shadow",
                despite_failures=bool(form.cleaned_data.get("despite_failures")),
            )
        return policy


@admin.register(PolicyVersion)
class PolicyVersionAdmin(GuardedAdmin):
    """Published policies; they never change."""

    view_perm = Perm.POLICY_VIEW
    explanation = "Every policy that was ever in force, and which one is."
    list_display = ("number", "workspace", "state_shown", "published", "published_by", "note")
    list_filter = ("is_active", "workspace")
    list_select_related = ("workspace", "published_by")
    search_fields = ("digest__istartswith", "note")
    fields = (
        "number", "workspace", "state_shown", "digest", "published", "published_by", "note",
        "failing_cases", "shadow_asked", "shadow_differing", "shadow_skipped", "language",
        "source_shown", "cases_shown",
    )  # fmt: skip
    readonly_fields = fields
    actions = ()

    published = moment_column("published_at", "Published")

    @admin.display(description="State", ordering="is_active")
    def state_shown(self, row: PolicyVersion) -> "SafeString":
        if row.is_shadow:
            return pill("waiting", label="shadow")
        return pill("on" if row.is_active else "off", label="in force" if row.is_active else "past")

    @admin.display(description="Policy")
    def source_shown(self, row: PolicyVersion) -> "SafeString":
        return text_block(row.source)

    @admin.display(description="Test cases")
    def cases_shown(self, row: PolicyVersion) -> "SafeString":
        return text_block(row.cases)


@admin.register(PolicyDifference)
class PolicyDifferenceAdmin(GuardedAdmin):
    """Calls that a shadow would have decided otherwise."""

    view_perm = Perm.POLICY_VIEW
    explanation = (
        "What shadows would have decided otherwise; counts, also of skipped calls, are on the "
        "version's page."
    )
    list_display = ("tool", "effect", "rule", "shadow_effect", "shadow_rule", "version", "seen")
    list_filter = ("effect", "shadow_effect", "is_abnormal", "workspace")
    list_select_related = ("version", "version__workspace")
    search_fields = ("tool__istartswith", "rule__istartswith", "shadow_rule__istartswith")
    fields = (
        "workspace", "version", "tool", "run_id", "call_id", "decided_by", "effect", "rule",
        "reason_shown", "shadow_effect", "shadow_rule", "shadow_reason_shown", "is_abnormal",
        "seen",
    )  # fmt: skip
    readonly_fields = fields
    actions = ()

    seen = moment_column("at", "Seen")

    @admin.display(description="Reason")
    def reason_shown(self, row: PolicyDifference) -> str:
        return row.reason or NOTHING

    @admin.display(description="The shadow's reason")
    def shadow_reason_shown(self, row: PolicyDifference) -> str:
        return row.shadow_reason or NOTHING

    @admin.display(description="Reasons")
    def withheld(self, row: PolicyDifference) -> str:
        return WITHHELD

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        """Reasons may say what was called with what, so they take what arguments take."""
        is_readable = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        shown = [name for name in self.fields if is_readable or not name.endswith("reason_shown")]
        return ((None, {"fields": shown if is_readable else [*shown, "withheld"]}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return [*self.fields, "withheld"]
