"""REST view of what was spent: amounts of a workspace, and its usage by what one asks for."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.selectors.cost import MAX_ROWS, CostTable, Period, Totals, cost_table
from core.errors import InvalidInputError
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from observability.contracts import UsageSum
from observability.selectors.usage import Dimension

DIMENSIONS = tuple(each for each in Dimension if each is not Dimension.WORKSPACE)
MAX_DIMENSIONS = 3


class UsageSumSerializer(serializers.Serializer[Any]):
    """Usage added up; `cost_usd` is at least this much where `is_floor` is true."""

    calls = serializers.IntegerField(help_text="Answers of models.")
    input_tokens = serializers.IntegerField(help_text="Cached ones included.")
    output_tokens = serializers.IntegerField()
    cache_read_tokens = serializers.IntegerField()
    cost_usd = serializers.DecimalField(max_digits=24, decimal_places=8)
    is_floor = serializers.BooleanField(help_text="Some calls had no known price.")
    unknown_calls = serializers.IntegerField(help_text="Calls without a known price.")
    unknown_input_tokens = serializers.IntegerField()
    unknown_output_tokens = serializers.IntegerField()


class ForecastSerializer(serializers.Serializer[Any]):
    usd = serializers.DecimalField(max_digits=24, decimal_places=2)
    low_usd = serializers.DecimalField(max_digits=24, decimal_places=2)
    high_usd = serializers.DecimalField(max_digits=24, decimal_places=2)
    days = serializers.IntegerField(help_text="Complete days it was made from.")
    method = serializers.CharField()


class CostRowSerializer(UsageSumSerializer):
    """A cell: the dimensions asked for, and its usage."""

    agent = serializers.CharField(required=False)
    model = serializers.CharField(required=False, help_text="The name it has here.")
    provider = serializers.CharField(required=False)
    user = serializers.CharField(required=False, help_text="Empty: nobody, or gone.")
    hour = serializers.DateTimeField(required=False)
    day = serializers.DateTimeField(required=False)
    hour_of_day = serializers.IntegerField(required=False)


class CostSerializer(serializers.Serializer[Any]):
    """Amounts of a workspace. Hours and days are those of UTC."""

    period = serializers.ChoiceField(choices=[each.value for each in Period])
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    counted_until = serializers.DateTimeField(
        allow_null=True, help_text="Null: everything is counted; else until when it is."
    )
    total = UsageSumSerializer()
    before = UsageSumSerializer(help_text="Of as long a time before.")
    today = UsageSumSerializer()
    month = UsageSumSerializer()
    unknown_usd = serializers.DecimalField(
        help_text="What budgets count for the calls of the period without a known price.",
        max_digits=24,
        decimal_places=8,
    )
    forecast = ForecastSerializer(
        allow_null=True, help_text="Of the whole month; null after less than three days."
    )
    by = serializers.ListField(child=serializers.ChoiceField(choices=[e.value for e in DIMENSIONS]))
    rows = CostRowSerializer(many=True)
    rows_left_out = serializers.IntegerField(help_text=f"The cheapest, beyond {MAX_ROWS} rows.")


class CostViewSet(WorkspaceViewSet):
    """What a workspace spent, and on what."""

    perms = {"retrieve": Perm.BUDGET_VIEW}
    serializer_class = CostSerializer
    query_parameters = frozenset({"period", "by"})
    problem_statuses = {"retrieve": (503,)}

    @extend_schema(
        description="What was spent today, this month and in a period, and usage by up to three "
        "dimensions. A cost is a floor where a price was not known: unknown is never zero.",
        parameters=[
            OpenApiParameter("period", enum=[each.value for each in Period], default="7d"),
            OpenApiParameter(
                "by", str, description="Dimensions, separated by commas: "
                f"{', '.join(DIMENSIONS)}. At most {MAX_DIMENSIONS}.",
            ),
        ],
        responses={200: CostSerializer},
    )  # fmt: skip
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        workspace = self.workspace
        period = period_of(request.query_params.get("period", Period.WEEK.value))
        by = dimensions_of(request.query_params.get("by", Dimension.AGENT.value))
        found = cost_table(self.actor, workspace.pk, period, by)
        return Response(CostSerializer(cost_shown(found)).data)


def period_of(text: str) -> Period:
    """Read a period.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        return Period(text)
    except ValueError:
        raise InvalidInputError(
            f"{text[:20]!r} is no period.",
            remedy=f"Choose from {', '.join(Period)}.",
            fields={"period": ["unknown"]},
        ) from None


def dimensions_of(text: str) -> tuple[Dimension, ...]:
    """Read dimensions separated by commas.

    Raises:
        InvalidInputError: One is not known, stands twice, or there are too many.
    """
    names = [name for name in text.split(",") if name]
    known = {each.value for each in DIMENSIONS}
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) != len(names) or len(names) > MAX_DIMENSIONS:
        raise InvalidInputError(
            f"Cost is not summed by {unknown[0][:20]!r}."
            if unknown
            else f"Cost is not summed by {text[:60]!r}: too many, or one of them twice.",
            remedy=f"Name at most {MAX_DIMENSIONS}, each once, of {', '.join(DIMENSIONS)}.",
            fields={"by": ["unknown" if unknown else "too many or twice"]},
        )
    return tuple(Dimension(name) for name in names)


def cost_shown(found: CostTable) -> dict[str, Any]:
    """Return a table in the form of CostSerializer."""
    return {
        **_totals_shown(found.totals),
        "by": [each.value for each in found.by],
        "rows": [
            dict(zip((each.value for each in found.by), cell, strict=True)) | sum_shown(usage)
            for cell, usage in found.rows
        ],
        "rows_left_out": found.left_out,
    }


def sum_shown(usage: UsageSum) -> dict[str, int | Decimal | bool]:
    return asdict(usage) | {"is_floor": usage.is_floor}


def _totals_shown(totals: Totals) -> dict[str, Any]:
    forecast = totals.forecast
    until: datetime = min(totals.span.until, totals.span.now)
    return {
        "period": totals.span.period.value,
        "since": totals.span.since,
        "until": until,
        "counted_until": totals.counted_until,
        "total": sum_shown(totals.period),
        "before": sum_shown(totals.before),
        "today": sum_shown(totals.today),
        "month": sum_shown(totals.month),
        "unknown_usd": totals.unknown_usd,
        "forecast": forecast and {**asdict(forecast), "method": forecast.method},
    }
