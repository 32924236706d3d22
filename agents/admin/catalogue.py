"""Providers, models and routes in the console."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.admin.forms import ModelForm, ProviderForm, RouteForm
from agents.models import Model, ModelRoute, Provider
from agents.services.models import model_create, model_delete, model_update
from agents.services.providers import provider_create, provider_delete, provider_update
from agents.services.routes import route_create, route_delete, route_update
from core.admin import NOTHING, moment_column, switch_column
from governance.contracts import Actor, Perm
from governance.guard.saving import ServiceAdmin

_PRICES = ("input_price_usd", "output_price_usd", "cache_read_price_usd", "cache_write_price_usd")


@admin.register(Provider)
class ProviderAdmin(ServiceAdmin):
    """The key goes in and never comes out: it is no field of the row's form."""

    document_kind = "Provider"
    view_perm = Perm.PROVIDER_VIEW
    edit_perm = Perm.PROVIDER_EDIT
    can_add = True
    can_delete = True
    form = ProviderForm
    explanation = _("Where completions come from: a vendor, a server of your own, or a script.")
    lesson = "console/lessons/providers.html"
    fixed_fields = ("workspace", "name", "kind")
    list_display = ("name", "kind", "address", "key_shown", "state_shown", "workspace", "updated")
    list_filter = ("kind", "is_enabled", "workspace")
    search_fields = ("name", "base_url")
    fieldsets = (
        (None, {"fields": ("workspace", "name", "kind", "is_enabled")}),
        (
            _("Key and address"),
            {"fields": ("base_url", "api_key", "key_env", "forget_key")},
        ),
        (_("Bounds"), {"fields": ("timeout_seconds", "max_retries", "max_concurrency")}),
        (_("Script, for the kind scripted"), {"fields": ("script",), "classes": ("wide-field",)}),
    )
    actions = ()

    @admin.display(description=_("Address"))
    def address(self, provider: Provider) -> str:
        return provider.base_url or NOTHING

    @admin.display(description=_("Key"))
    def key_shown(self, provider: Provider) -> str:
        if provider.key_env:
            return gettext("from %(key_env)s") % {"key_env": provider.key_env}
        return "sealed" if provider.sealed_key else NOTHING

    state_shown = switch_column()

    updated = moment_column("updated_at", _("Changed"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("workspace")

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        left_out = {"api_key", "forget_key"}
        if self.has_change_permission(request, obj):
            left_out = {"forget_key"} if obj is None else set()
        return [
            (title, {**options, "fields": [n for n in options["fields"] if n not in left_out]})
            for title, options in self.fieldsets
        ]

    def save_row(
        self, actor: Actor, row: Provider, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Provider:
        given = dict(form.cleaned_data)
        key, forget = given.pop("api_key"), given.pop("forget_key")
        workspace, name = given.pop("workspace", None), given.pop("name", "")
        if key or forget:
            given["api_key"] = key or ""
        if is_new:
            return provider_create(actor=actor, workspace=workspace, name=name, **given)
        return provider_update(actor=actor, provider=row, **given)

    def delete_row(self, actor: Actor, row: Provider) -> None:
        provider_delete(actor=actor, provider=row)


@admin.register(Model)
class ModelAdmin(ServiceAdmin):
    document_kind = "Model"
    view_perm = Perm.PROVIDER_VIEW
    edit_perm = Perm.PROVIDER_EDIT
    can_add = True
    can_delete = True
    form = ModelForm
    explanation = _("Names agents use for the models of a provider, with the prices to count by.")
    fixed_fields = ("workspace", "name")
    list_display = (
        "name", "provider", "vendor_name", "price_shown", "fallback", "state_shown", "workspace",
    )  # fmt: skip
    list_filter = ("provider", "is_enabled", "workspace")
    list_select_related = ("provider", "fallback", "workspace")
    search_fields = ("name", "vendor_name")
    fieldsets = (
        (None, {"fields": ("workspace", "name", "provider", "vendor_name", "is_enabled")}),
        (_("When it cannot answer"), {"fields": ("fallback",)}),
        (_("Options"), {"fields": ("options",)}),
        (
            _("Prices"),
            {
                "fields": _PRICES,
                "description": _(
                    "Dollars a million tokens. Empty: looked up in price lists; "
                    "a price found nowhere is unknown, never zero."
                ),
            },
        ),
    )
    actions = ()

    @admin.display(description=_("Price in / out"))
    def price_shown(self, model: Model) -> SafeString | str:
        if model.input_price_usd is None or model.output_price_usd is None:
            return gettext("from price lists")
        return format_html(
            "${} / ${}", f"{model.input_price_usd:.2f}", f"{model.output_price_usd:.2f}"
        )

    state_shown = switch_column()

    def save_row(
        self, actor: Actor, row: Model, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Model:
        given = dict(form.cleaned_data)
        workspace, name = given.pop("workspace", None), given.pop("name", "")
        given["provider"] = given["provider"].name
        given["fallback"] = given["fallback"].name if given["fallback"] else None
        given["options"] = given["options"] or {}
        if is_new:
            return model_create(actor=actor, workspace=workspace, name=name, **given)
        return model_update(actor=actor, model=Model.objects.get(pk=row.pk), **given)

    def delete_row(self, actor: Actor, row: Model) -> None:
        model_delete(actor=actor, model=row)


@admin.register(ModelRoute)
class ModelRouteAdmin(ServiceAdmin):
    document_kind = "Route"
    view_perm = Perm.PROVIDER_VIEW
    edit_perm = Perm.PROVIDER_EDIT
    can_add = True
    can_delete = True
    form = RouteForm
    explanation = _(
        "Which model answers when the agent names none: the first route whose words fit."
    )
    fixed_fields = ("workspace",)
    list_display = ("priority", "words", "model", "workspace")
    list_filter = ("workspace",)
    list_select_related = ("model", "workspace")
    actions = ()

    @admin.display(description=_("If the input contains"))
    def words(self, route: ModelRoute) -> str:
        return ", ".join(word or "anything" for word in route.if_contains)

    def save_row(
        self, actor: Actor, row: ModelRoute, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> ModelRoute:
        given = dict(form.cleaned_data)
        workspace = given.pop("workspace", None)
        given["model"] = given["model"].name
        if is_new:
            return route_create(actor=actor, workspace=workspace, **given)
        return route_update(actor=actor, route=row, **given)

    def delete_row(self, actor: Actor, row: ModelRoute) -> None:
        route_delete(actor=actor, route=row)
