"""Price lists in the console, to read: imports come by `manage.py prices import`."""

from decimal import Decimal

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.models import ModelPrice, PriceList
from agents.selectors.prices import price_of_row
from core.admin import NOTHING, moment_column
from governance.guard.admin import SITE_ADMIN, GuardedAdmin

_BATCH_FIELDS = ("added", "changed", "ended", "unchanged", "left_out")


@admin.register(PriceList)
class PriceListAdmin(GuardedAdmin):
    """Lists belong to the site, not to a workspace: only superusers see them."""

    view_perm = SITE_ADMIN
    explanation = _(
        "What was imported, and what each import changed. Runs keep what they began with."
    )
    lesson = "console/lessons/prices.html"
    list_display = ("source", "title", *_BATCH_FIELDS, "imported")
    list_filter = ("source",)
    fields = ("source", "title", "digest", "imported_at", *_BATCH_FIELDS)
    actions = ()

    imported = moment_column("imported_at", _("Imported"))


class InForceFilter(admin.SimpleListFilter):
    title = _("in force")
    parameter_name = "is_in_force"

    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[ModelPrice]"
    ) -> list[tuple[str, str]]:
        return [("1", gettext("Now")), ("0", gettext("Before"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ModelPrice]
    ) -> QuerySet[ModelPrice] | None:
        if self.value() not in {"0", "1"}:
            return None
        return queryset.filter(valid_until__isnull=self.value() == "1")


@admin.register(ModelPrice)
class ModelPriceAdmin(GuardedAdmin):
    """Prices belong to the site as the lists do."""

    view_perm = SITE_ADMIN
    explanation = _("What lists say models cost, dollars a million tokens. Old prices are kept.")
    lesson = "console/lessons/prices.html"
    list_display = (
        "vendor_name", "provider", "source", "input_shown", "output_shown", "cached_shown",
        "tiers_shown", "valid_from_shown", "valid_until_shown",
    )  # fmt: skip
    list_filter = (InForceFilter, "source")
    search_fields = ("vendor_name__icontains", "provider__iexact")
    ordering = ("vendor_name", "provider", "source", "-valid_from")
    fields = (
        "vendor_name", "provider", "host", "source", "price_list", "input_shown", "output_shown",
        "cached_shown", "written_shown", "reasoning_shown", "tiers_shown", "valid_from",
        "valid_until",
    )  # fmt: skip
    readonly_fields = fields
    actions = ()

    @admin.display(description=_("Input"), ordering="input_usd")
    def input_shown(self, row: ModelPrice) -> str:
        return _dollars(row.input_usd)

    @admin.display(description=_("Output"), ordering="output_usd")
    def output_shown(self, row: ModelPrice) -> str:
        return _dollars(row.output_usd)

    @admin.display(description=_("Cached"))
    def cached_shown(self, row: ModelPrice) -> str:
        return _dollars(row.cache_read_usd)

    @admin.display(description=_("Cache write"))
    def written_shown(self, row: ModelPrice) -> str:
        return _dollars(row.cache_write_usd)

    @admin.display(description=_("Reasoning"))
    def reasoning_shown(self, row: ModelPrice) -> str:
        return _dollars(row.reasoning_usd)

    @admin.display(description=_("Larger contexts"))
    def tiers_shown(self, row: ModelPrice) -> SafeString | str:
        tiers = price_of_row(row).tiers
        if not tiers:
            return NOTHING
        return format_html_join(
            mark_safe("<br>"),  # our own markup
            gettext("above {} tokens: {} in, {} out"),
            (
                (
                    f"{tier.above_input_tokens:,}",
                    _dollars(tier.input_usd),
                    _dollars(tier.output_usd),
                )
                for tier in tiers
            ),
        )

    valid_from_shown = moment_column("valid_from", _("From"))

    valid_until_shown = moment_column("valid_until", _("Until"))


def _dollars(usd: Decimal | None) -> str:
    return NOTHING if usd is None else f"${usd.normalize():f}"
