"""Pages of published policies, and of what shadows said otherwise."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin import (
    NOTHING,
    WITHHELD,
    effect_pill,
    moment_column,
    row_link,
    short_id,
    text_block,
)
from governance import access
from governance.admin.policy_page import version_pill
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin
from governance.models import PolicyDifference, PolicyVersion


@admin.register(PolicyVersion)
class PolicyVersionAdmin(GuardedAdmin):
    """Published policies; they never change."""

    view_perm = Perm.POLICY_VIEW
    explanation = _("Every policy that was ever in force, and which one is.")
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

    published = moment_column("published_at", _("Published"))

    @admin.display(description=_("State"), ordering="is_active")
    def state_shown(self, row: PolicyVersion) -> SafeString:
        return version_pill(row)

    @admin.display(description=_("Policy"))
    def source_shown(self, row: PolicyVersion) -> SafeString:
        return text_block(row.source)

    @admin.display(description=_("Test cases"))
    def cases_shown(self, row: PolicyVersion) -> SafeString:
        return text_block(row.cases)


@admin.register(PolicyDifference)
class PolicyDifferenceAdmin(GuardedAdmin):
    """Calls that a shadow would have decided otherwise."""

    view_perm = Perm.POLICY_VIEW
    explanation = _(
        "What shadows would have decided otherwise; counts, also of skipped calls, are on the "
        "policy's page."
    )
    lesson = "console/lessons/shadow_answers.html"
    list_display = ("tool", "decided", "rule", "shadow_says", "shadow_rule", "call", "version",
                    "seen")  # fmt: skip
    list_filter = ("effect", "shadow_effect", "is_abnormal", "workspace")
    list_select_related = ("version", "version__workspace")
    search_fields = ("tool__istartswith", "rule__istartswith", "shadow_rule__istartswith")
    fields = (
        "workspace", "version", "tool", "run", "call", "decided_by", "decided", "rule",
        "reason_shown", "shadow_says", "shadow_rule", "shadow_reason_shown", "is_abnormal", "seen",
    )  # fmt: skip
    actions = ()

    seen = moment_column("at", _("Seen"))

    @admin.display(description=_("Decided"), ordering="effect")
    def decided(self, row: PolicyDifference) -> SafeString:
        return effect_pill(row.effect)

    @admin.display(description=_("The shadow says"), ordering="shadow_effect")
    def shadow_says(self, row: PolicyDifference) -> SafeString:
        return effect_pill(row.shadow_effect)

    @admin.display(description=_("Run"))
    def run(self, row: PolicyDifference) -> SafeString:
        return row_link("agents_run", row.run_id, short_id(row.run_id))

    @admin.display(description=_("Call"))
    def call(self, row: PolicyDifference) -> SafeString:
        return row_link("plugins_toolcall", row.call_id, short_id(row.call_id))

    @admin.display(description=_("Reason"))
    def reason_shown(self, row: PolicyDifference) -> str:
        return row.reason or NOTHING

    @admin.display(description=_("The shadow's reason"))
    def shadow_reason_shown(self, row: PolicyDifference) -> str:
        return row.shadow_reason or NOTHING

    @admin.display(description=_("Reasons"))
    def withheld(self, row: PolicyDifference) -> str:
        return str(WITHHELD)

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        """Reasons may say what was called with what, so they take what arguments take."""
        is_readable = obj is not None and access.may_see_payload(
            self.actor(request), obj.workspace_id
        )
        shown = [name for name in self.fields if is_readable or not name.endswith("reason_shown")]
        return ((None, {"fields": shown if is_readable else [*shown, "withheld"]}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return [*self.fields, "withheld"]
