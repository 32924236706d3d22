"""Pages of budgets: all limits as a tree with bars, one with its periods, and raising it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import moment, moment_column, money, pill, row_link, short_id, told
from core.errors import DomainError
from governance import access
from governance.budgets import Figures, dollars
from governance.contracts import Actor, ApprovalKind, ApprovalState, BudgetKind, Perm
from governance.guard.admin import GuardedAdmin
from governance.guard.saving import ServiceAdmin
from governance.models import Approval, Budget, BudgetAccount, Reservation, Workspace
from governance.selectors.budgets import Branch, Standing, budget_tree, budgets_standing
from governance.services.budgets import (
    MAX_NOTE_CHARS,
    budget_create,
    budget_delete,
    budget_raise,
    budget_update,
)

if TYPE_CHECKING:
    _BudgetForm = forms.ModelForm[Budget]
else:  # generic for the type checker only
    _BudgetForm = forms.ModelForm

NEARLY_FULL: Final = 0.8
SHOWN_PERIODS: Final = 12
_FIXED: Final = ("workspace", "name", "kind", "agent_name", "user", "period", "time_zone")


def bar(figures: Figures) -> SafeString:
    """Draw what is spent, what is set aside and what is left, in one line; the words beside it
    say the same."""
    spent = round(figures.part(figures.spent_usd) * 100, 2)
    held = round(min(figures.part(figures.reserved_usd) * 100, 100 - spent), 2)
    return format_html(
        '<svg class="budget-bar{}" viewBox="0 0 100 8" preserveAspectRatio="none" '
        'aria-hidden="true"><rect class="bar-spent" width="{}" height="8"/>'
        '<rect class="bar-held" x="{}" width="{}" height="8"/></svg>',
        f" {_mark(figures)}".rstrip(),
        spent,
        spent,
        held,
    )


def _mark(figures: Figures) -> str:
    """Return the class of what is drawn of a budget: the colour repeats what its words say."""
    if _is_used_up(figures):
        return "is-used-up"
    gone = figures.part(figures.spent_usd + figures.reserved_usd)
    return "is-nearly-full" if gone >= NEARLY_FULL else ""


def _is_used_up(figures: Figures) -> bool:
    return figures.remaining_usd == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the tree as its template writes it."""

    title: SafeString | str
    about: str
    depth: int
    bar: SafeString
    mark: str
    is_used_up: bool
    spent: SafeString | str
    held: SafeString | str
    limit: SafeString | str
    left: SafeString | str
    waiting: int
    is_off: bool
    ends_at: SafeString | str


def line_of(branch: Branch) -> Line:
    now = branch.standing
    if branch.budget is not None:
        title: SafeString | str = row_link("governance_budget", branch.budget.pk, branch.title)
        about = f"{branch.budget.whose} · {_PERIODS[branch.budget.period]}"
    else:
        run = row_link("agents_run", branch.run_id, short_id(branch.run_id))
        title, about = (
            format_html("{} {}", branch.title, run),
            gettext("run, with all it delegates"),
        )
    return Line(
        title=title,
        about=about,
        depth=min(branch.depth, 2),
        is_off=branch.budget is not None and not branch.budget.is_enabled,
        **_told(now),
    )


_PERIODS: Final = {
    "day": _("each day"),
    "week": _("each week"),
    "month": _("each month"),
    "total": _("in all"),
}


def _told(now: Standing) -> dict[str, Any]:
    figures = now.figures
    return {
        "bar": bar(figures),
        "mark": _mark(figures),
        "is_used_up": _is_used_up(figures),
        "spent": money(figures.spent_usd),
        "held": money(figures.reserved_usd) if figures.reserved_usd else "",
        "limit": gettext("no limit") if figures.limit_usd is None else money(figures.limit_usd),
        "left": money(figures.remaining_usd or Decimal(0)),
        "waiting": now.waiting,
        "ends_at": moment(now.span.ends_at) if now.span.ends_at else "",
    }


_NAMED: Final = {BudgetKind.AGENT.value: "agent_name", BudgetKind.USER.value: "user"}


class BudgetForm(_BudgetForm):
    class Meta:
        model = Budget
        fields: ClassVar = (*_FIXED, "limit_usd", "is_enabled", "note")
        widgets: ClassVar = {"note": forms.Textarea(attrs={"rows": 3})}
        help_texts: ClassVar = {
            "kind": _("Whose spending it bounds."),
            "agent_name": _("Its name, for a budget of an agent."),
            "user": _("Whose runs it bounds, for a budget of a user."),
        }
        labels: ClassVar = {
            "kind": _("For"),
            "agent_name": _("Agent"),
            "user": _("Member"),
            "time_zone": _("Time zone"),
            "limit_usd": _("Limit in dollars"),
            "is_enabled": _("It counts"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding and "limit_usd" in self.fields:
            self.initial["limit_usd"] = dollars(self.instance.limit_usd).removeprefix("$")


class RaiseForm(forms.Form):
    """How much more the current period gets."""

    by_usd = forms.DecimalField(
        label=_("Raise by ($)"), max_digits=16, decimal_places=8, min_value=Decimal("0.00000001")
    )
    reason = forms.CharField(label=_("Reason"), required=False, max_length=MAX_NOTE_CHARS)


@admin.register(Budget)
class BudgetAdmin(ServiceAdmin):
    """Budgets are set here; what they count is written by workers only."""

    document_kind = "Budget"
    view_perm = Perm.BUDGET_VIEW
    edit_perm = Perm.BUDGET_EDIT
    can_add = True
    can_delete = True
    form = BudgetForm
    explanation = _(
        "Money is set aside before a model is asked, in every limit above the run. Where one has "
        "no room, the run waits and somebody is asked."
    )
    lesson = "console/lessons/budgets.html"
    change_form_template = "admin/governance/budget/change_form.html"
    change_list_template = "admin/governance/budget/change_list.html"
    fixed_fields = _FIXED
    places: ClassVar = {"agent": "agent_name"}
    list_display = ("name", "kind", "workspace")
    list_select_related = ("workspace", "user")
    actions = ()

    @admin.display(description=_("Limit in dollars"))
    def limit_shown(self, row: Budget) -> str:
        return dollars(row.limit_usd)

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        if obj is None:
            return ((None, {"fields": (*_FIXED, "limit_usd", "is_enabled", "note")}),)
        other = {"agent_name", "user"} - {_NAMED.get(obj.kind, "")}
        about = tuple(name for name in _FIXED if name not in other)
        limit = "limit_usd" if self.has_change_permission(request, obj) else "limit_shown"
        return (
            (gettext("Every period"), {"fields": (limit, "is_enabled", "note")}),
            (gettext("For whom, and for how long"), {"fields": about}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "limit_shown")

    # --- all of them ------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        actor = self.actor(request)
        seen = access.scope(actor, Perm.BUDGET_VIEW, Workspace.objects.all(), field="pk")
        trees = [
            (workspace, [line_of(branch) for branch in branches])
            for workspace in seen.order_by("name")
            if (branches := budget_tree(actor, workspace))
        ]
        return super().changelist_view(request, {**(extra_context or {}), "trees": trees})

    # --- one of them ------------------------------------------------------------------------------

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return {}
        now = budgets_standing([row])[row.pk]
        earlier = BudgetAccount.objects.filter(budget=row, starts_at__lt=now.span.starts_at)
        return {
            "budget": row,
            "now": _told(now),
            "about": f"{row.whose} · {_PERIODS[row.period]}",
            "may_edit": self.has_change_permission(request, row),
            "raise_form": RaiseForm(),
            "questions": self._questions(request, now),
            "periods": [
                (moment(each.starts_at), bar(each.figures), money(each.spent_usd),
                 money(each.limit_usd or Decimal(0)))
                for each in earlier.order_by("-starts_at")[:SHOWN_PERIODS]
            ],
        }  # fmt: skip

    def _questions(self, request: HttpRequest, now: Standing) -> list[SafeString]:
        """Return links to what runs ask of this budget, for who may see approvals."""
        asked = Approval.objects.filter(
            kind=ApprovalKind.BUDGET_RAISE.value,
            state=ApprovalState.PENDING.value,
            binding__account=str(now.account_id),
        )
        seen = access.scope(self.actor(request), Perm.APPROVAL_VIEW, asked)
        return [
            row_link("governance_approval", row.pk, f"{row.agent_name} {str(row.run_id)[-8:]}")
            for row in seen.order_by("pk")[:SHOWN_PERIODS]
        ]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.raise_view)
        return [
            path("<uuid:budget_id>/raise/", view, name="governance_budget_raise"),
            *super().get_urls(),
        ]

    def raise_view(self, request: HttpRequest, budget_id: UUID) -> HttpResponse:
        """Give the current period more."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.get_object(request, str(budget_id))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        if not self.has_change_permission(request, row):
            raise PermissionDenied(f"This needs the permission {Perm.BUDGET_EDIT}.")
        form = RaiseForm(request.POST)
        if not form.is_valid():
            sentences = [str(text) for texts in form.errors.values() for text in texts]
            self.message_user(
                request,
                gettext("Nothing was raised. %(why)s") % {"why": " ".join(sentences)},
                messages.ERROR,
            )
        else:
            self._raise(request, row, form.cleaned_data)
        return HttpResponseRedirect(reverse("admin:governance_budget_change", args=[row.pk]))

    def _raise(self, request: HttpRequest, row: Budget, given: dict[str, Any]) -> None:
        try:
            budget_raise(self.actor(request), budget=row, **given)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            sentence = gettext("Raised by %(by_usd)s; runs that waited for it go on.") % {
                "by_usd": dollars(given["by_usd"])
            }
            self.message_user(request, sentence, messages.SUCCESS)

    # --- changes ----------------------------------------------------------------------------------

    def save_row(
        self, actor: Actor, row: Budget, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Budget:
        given = dict(form.cleaned_data)
        if not is_new:
            names = ("limit_usd", "is_enabled", "note")
            changed: Any = {name: given[name] for name in names if name in form.changed_data}
            return budget_update(actor, budget=row, **changed)
        user, agent = given.pop("user"), given.pop("agent_name")
        return budget_create(
            actor,
            agent=agent if given["kind"] == BudgetKind.AGENT.value else "",
            user=user.username if user and given["kind"] == BudgetKind.USER.value else "",
            **given,
        )

    def delete_row(self, actor: Actor, row: Budget) -> None:
        budget_delete(actor, budget=row)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what goes with a budget; whoever may delete it may delete that too."""
        budgets = list(objs)
        accounts = BudgetAccount.objects.filter(budget__in=budgets).count()
        named = [
            gettext("The budget %(name)s of %(workspace)s")
            % {"name": row.name, "workspace": row.workspace}
            for row in budgets
        ]
        named.append(gettext("What was counted against it"))
        return named, {"budgets": len(budgets), "periods": accounts}, set(), []


@admin.register(Reservation)
class ReservationAdmin(GuardedAdmin):
    """What calls have set aside; nobody edits it."""

    view_perm = Perm.BUDGET_VIEW
    explanation = _("What each model call has set aside in the limits above it, and what it cost.")
    list_display_links = ("place",)
    list_display = ("run_shown", "place", "model_name", "state_shown", "reserved", "charged",
                    "created")  # fmt: skip
    list_filter = ("state", "workspace")
    search_fields = ("run_id__istartswith", "model_name__istartswith")
    fields = ("run_shown", "place", "model_name", "state_shown", "reserved", "charged", "created",
              "settled")  # fmt: skip
    readonly_fields = fields
    actions = ()

    created = moment_column("created_at", _("Set aside"))
    settled = moment_column("settled_at", _("Settled"))

    @admin.display(description=_("Run"))
    def run_shown(self, row: Reservation) -> SafeString:
        return row_link("agents_run", row.run_id, short_id(row.run_id))

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, row: Reservation) -> SafeString:
        return pill(_PILLS[row.state], label=told(row.state))

    @admin.display(description=_("At most"), ordering="reserved_usd")
    def reserved(self, row: Reservation) -> str:
        return money(row.reserved_usd)

    @admin.display(description=_("Cost"), ordering="charged_usd")
    def charged(self, row: Reservation) -> str:
        return "–" if row.charged_usd is None else money(row.charged_usd)


_PILLS: Final = {"reserved": "running", "settled": "succeeded", "released": "off"}
