"""REST views of budgets: how they stand, setting and raising them, and what calls set aside."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import StrictSerializer
from governance.contracts import BudgetKind, BudgetPeriod, Perm, ReservationState
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import (
    CreateMixin,
    DestroyMixin,
    ListMixin,
    RetrieveMixin,
    UpdateMixin,
)
from governance.models import Budget, BudgetAccount, Reservation
from governance.selectors.budgets import (
    Branch,
    Standing,
    budget_list,
    budget_tree,
    budgets_standing,
)
from governance.services.budgets import (
    MAX_NOTE_CHARS,
    budget_create,
    budget_delete,
    budget_raise,
    budget_update,
)

BUDGET_KINDS = [member.value for member in BudgetKind]
BUDGET_PERIODS = [member.value for member in BudgetPeriod]
RESERVATION_STATES = [member.value for member in ReservationState]


class UsdField(serializers.DecimalField):
    """Dollars, written as text with up to eight places."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_digits": 16, "decimal_places": 8, **options})


class StandingSerializer(serializers.Serializer[Standing]):
    """A limit in its current period. `limit_usd` is what holds now, with what it was raised by;
    `remaining_usd` what can still be set aside; `waiting` runs have asked for more."""

    starts_at = serializers.DateTimeField(source="span.starts_at")
    ends_at = serializers.DateTimeField(source="span.ends_at", allow_null=True)
    limit_usd = UsdField(source="figures.limit_usd", allow_null=True)
    spent_usd = UsdField(source="figures.spent_usd")
    reserved_usd = UsdField(source="figures.reserved_usd")
    remaining_usd = UsdField(source="figures.remaining_usd", allow_null=True)
    waiting = serializers.IntegerField()


class BudgetSerializer(serializers.ModelSerializer[Budget]):
    """A budget. `limit_usd` is that of every period, `now` how the current one stands."""

    kind = serializers.ChoiceField(choices=BUDGET_KINDS, read_only=True)
    agent = serializers.CharField(source="agent_name", read_only=True, allow_blank=True)
    user = serializers.CharField(source="user.username", read_only=True, default=None,
                                 allow_null=True)  # fmt: skip
    period = serializers.ChoiceField(choices=BUDGET_PERIODS, read_only=True)
    now = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by_name", read_only=True, allow_blank=True)
    changed_by = serializers.CharField(source="changed_by_name", read_only=True, allow_blank=True)

    class Meta:
        model = Budget
        fields = (
            "id", "name", "kind", "agent", "user", "period", "time_zone", "limit_usd",
            "is_enabled", "note", "now", "created_by", "changed_by", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(StandingSerializer)
    def get_now(self, row: Budget) -> dict[str, Any]:
        known = self.context.get("standings") or budgets_standing([row])
        return dict(StandingSerializer(known[row.pk]).data)


class BudgetChange(StrictSerializer):
    """Another limit holds at once, in place of what the current period was raised to."""

    limit_usd = UsdField(required=False)
    is_enabled = serializers.BooleanField(required=False)
    note = serializers.CharField(max_length=MAX_NOTE_CHARS, required=False, allow_blank=True)


class BudgetInput(BudgetChange):
    """`agent` for a budget of an agent, `user` for one of a member, neither for the workspace's."""

    name = serializers.CharField(max_length=63)
    kind = serializers.ChoiceField(choices=BUDGET_KINDS)
    agent = serializers.CharField(max_length=63, required=False, allow_blank=True)
    user = serializers.CharField(max_length=150, required=False, allow_blank=True)
    period = serializers.ChoiceField(choices=BUDGET_PERIODS, required=False)
    time_zone = serializers.CharField(max_length=64, required=False)
    limit_usd = UsdField()


class RaiseInput(StrictSerializer):
    by_usd = UsdField(help_text="What the current period gets more.")
    reason = serializers.CharField(max_length=MAX_NOTE_CHARS, required=False, allow_blank=True)


class BranchSerializer(serializers.Serializer[Branch]):
    """A place in the tree of limits, in the order of the tree; `depth` is 0 at its top. `run` is
    there where a run has a limit of its own, which holds for all it delegates too."""

    kind = serializers.CharField()
    title = serializers.CharField()
    whose = serializers.CharField(source="budget.whose", default="", allow_blank=True)
    depth = serializers.IntegerField()
    run = serializers.UUIDField(source="run_id", allow_null=True)
    now = StandingSerializer(source="standing")


class BudgetTreeSerializer(serializers.Serializer[Any]):
    branches = BranchSerializer(many=True)


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    """Money set aside for one model call: the one at `place` of its run, counted from 0."""

    run = serializers.UUIDField(source="run_id", read_only=True)
    model = serializers.CharField(source="model_name", read_only=True, allow_blank=True)
    state = serializers.ChoiceField(choices=RESERVATION_STATES, read_only=True)

    class Meta:
        model = Reservation
        fields = (
            "id", "run", "place", "model", "state", "reserved_usd", "charged_usd", "created_at",
            "settled_at",
        )  # fmt: skip
        read_only_fields = fields


class BudgetFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    kind = django_filters.MultipleChoiceFilter(choices=[(value, value) for value in BUDGET_KINDS])
    agent = django_filters.CharFilter(field_name="agent_name", max_length=63)
    user = django_filters.CharFilter(field_name="user__username", max_length=150)


class ReservationFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    state = django_filters.MultipleChoiceFilter(
        choices=[(value, value) for value in RESERVATION_STATES]
    )
    run = django_filters.UUIDFilter(field_name="run_id")


class BudgetViewSet(
    WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin
):
    """How much may be spent, by whom, in which period."""

    perms = {
        "list": Perm.BUDGET_VIEW,
        "retrieve": Perm.BUDGET_VIEW,
        "create": Perm.BUDGET_EDIT,
        "partial_update": Perm.BUDGET_EDIT,
        "destroy": Perm.BUDGET_EDIT,
        "increase": Perm.BUDGET_EDIT,
    }
    queryset = Budget.objects.all()
    serializer_class = BudgetSerializer
    filterset_class = BudgetFilter
    lookup_field = "name"
    input_serializers = {
        "create": BudgetInput,
        "partial_update": BudgetChange,
        "increase": RaiseInput,
    }

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return Budget.objects.none()
        return budget_list(self.actor, self.workspace)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None  # every list is paged
        context = {**self.get_serializer_context(), "standings": budgets_standing(page)}
        return self.get_paginated_response(
            [BudgetSerializer(row, context=context).data for row in page]
        )

    @extend_schema(request=BudgetInput, responses={201: BudgetSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.workspace  # noqa: B018 - whether one may, before what one says
        return super().create(request, *args, **kwargs)

    @extend_schema(request=BudgetChange, responses={200: BudgetSerializer})
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().partial_update(request, *args, **kwargs)

    @extend_schema(
        description="Give the current period more. Runs that wait for room go on where there is.",
        request=RaiseInput,
        responses={200: BudgetSerializer},
    )
    def increase(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return self.answer(budget_raise(self.actor, budget=row, **self.checked()))

    def perform_create(self, data: dict[str, Any]) -> Budget:
        return budget_create(self.actor, workspace=self.workspace, **data)

    def perform_update(self, row: Budget, data: dict[str, Any]) -> Budget:
        return budget_update(self.actor, budget=row, **data)

    def perform_destroy(self, row: Budget) -> None:
        budget_delete(self.actor, budget=row)

    def tag_of(self, data: Any) -> str:
        """What is spent meanwhile is no change of the budget."""
        return super().tag_of({name: value for name, value in data.items() if name != "now"})


class BudgetTreeViewSet(WorkspaceViewSet):
    """The limits of a workspace as a tree."""

    perms = {"retrieve": Perm.BUDGET_VIEW}
    queryset = BudgetAccount.objects.all()
    serializer_class = BudgetTreeSerializer

    @extend_schema(
        description="Limits from the widest to the narrowest: of the workspace, of agents and "
        "members, and of runs that have limits of their own.",
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        branches = budget_tree(self.actor, self.workspace)
        return Response(BudgetTreeSerializer({"branches": branches}).data)


class ReservationViewSet(WorkspaceViewSet, ListMixin):
    """What model calls have set aside, and what became of it, newest first."""

    perms = {"list": Perm.BUDGET_VIEW}
    queryset = Reservation.objects.all()
    serializer_class = ReservationSerializer
    filterset_class = ReservationFilter
