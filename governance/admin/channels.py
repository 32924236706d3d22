"""Pages of channels: making one, trying it, changing it, and what was sent through it."""

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from core.admin import NOTHING, json_block, moment, moment_column, pill, switch_column, told
from core.errors import DomainError
from governance.admin.channel_forms import FIELDS, ChannelForm
from governance.contracts import Actor, ChannelKind, DeliveryState, Perm
from governance.guard.admin import GuardedAdmin
from governance.guard.saving import ServiceAdmin
from governance.models import Channel, ChannelIdentity, Delivery
from governance.selectors.channels import address_shown
from governance.services.channels import channel_create, channel_delete, channel_update
from governance.services.deliveries import channel_test, delivery_redeliver

if TYPE_CHECKING:
    _Inline = admin.TabularInline[ChannelIdentity, Channel]
else:  # generic for the type checker only
    _Inline = admin.TabularInline

SHOWN_DELIVERIES: Final = 10
_WEBHOOK: Final = _(
    "For programs: signed JSON to an address of yours. Signed decisions can come back, as one "
    "account."
)
_SLACK: Final = _(
    "A message with buttons to one of its channels, or to what speaks alike. Whoever presses "
    "decides as the account joined to them."
)
_EMAIL: Final = _(
    "A letter to those who may decide, or to addresses you give. Its link leads to a page that "
    "asks for a sign-in."
)
KINDS: Final = (
    (ChannelKind.WEBHOOK.value, _("Webhook"), _WEBHOOK),
    (ChannelKind.SLACK.value, _("Slack"), _SLACK),
    (ChannelKind.EMAIL.value, _("E-mail"), _EMAIL),
)
_READ: Final = {
    ChannelKind.WEBHOOK.value: ("url", "acts_as", "secret_shown"),
    ChannelKind.SLACK.value: ("url", "secret_shown"),
    ChannelKind.EMAIL.value: ("addresses_shown",),
}


def delivery_pill(row: Delivery) -> SafeString:
    word = row.state
    return pill("succeeded" if word == DeliveryState.DELIVERED.value else word, label=told(word))


class IdentityInline(_Inline):
    """Who of a channel is who here, for those who may not change it."""

    model = ChannelIdentity
    fields = ("external_id", "user")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:
        return True  # the page it is on was asked for


@admin.register(Channel)
class ChannelAdmin(ServiceAdmin):
    """What a form asks for depends on the kind, which is chosen first and never changes."""

    view_perm = Perm.CHANNEL_VIEW
    edit_perm = Perm.CHANNEL_EDIT
    can_add = True
    can_delete = True
    form = ChannelForm
    explanation = _("Where news of approvals goes, and who of a channel is who here.")
    document_kind = "Channel"
    lesson = "console/lessons/channels.html"
    change_form_template = "admin/governance/channel/change_form.html"
    fixed_fields = ("workspace", "name")
    list_display = ("name", "kind", "target", "state_shown", "workspace", "changed")
    list_filter = ("kind", "is_enabled", "workspace")
    list_select_related = ("workspace",)
    search_fields = ("name__istartswith",)
    inlines = (IdentityInline,)
    actions = ()

    state_shown = switch_column()
    changed = moment_column("updated_at", _("Changed"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Letters of a person are on the page of that person."""
        return super().get_queryset(request).filter(owner__isnull=True)

    @admin.display(description=_("Goes to"))
    def target(self, row: Channel) -> str:
        if row.kind == ChannelKind.EMAIL.value:
            return ", ".join(row.addresses) or gettext("those who may decide")
        return address_shown(row.url) or NOTHING

    @admin.display(description=_("Addresses"))
    def addresses_shown(self, row: Channel) -> str:
        return ", ".join(row.addresses) or gettext("those who may decide")

    @admin.display(description=_("Told of"))
    def events_shown(self, row: Channel) -> str:
        return ", ".join(row.events)

    @admin.display(description=_("Signing secret"))
    def secret_shown(self, row: Channel) -> str:
        return gettext("sealed; nobody can read it again") if row.sealed_secret else NOTHING

    # --- the form ---------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any | None = None) -> Any:
        kind = obj.kind if obj is not None else _kind_of(request)
        if obj is not None and not self.has_change_permission(request, obj):
            names = ("workspace", "kind", "is_enabled", "events_shown", *_READ[kind])
            return ((None, {"fields": names}),)
        own = tuple(name for name in FIELDS[kind] if obj is not None or name != "make_secret")
        head = ("workspace", "name") if obj is None else ("workspace",)
        return (
            (None, {"fields": (*head, "kind", "is_enabled", "events")}),
            (gettext("Where it goes, and what comes back"), {"fields": own}),
        )

    def get_inlines(self, request: HttpRequest, obj: Any | None) -> Any:
        """The form has a field for what this shows."""
        if obj is None or obj.kind != ChannelKind.SLACK.value:
            return ()
        return () if self.has_change_permission(request, obj) else self.inlines

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            (_, options), *_ = self.get_fieldsets(request, obj)
            return options["fields"]
        return super().get_readonly_fields(request, obj)

    def save_row(
        self, actor: Actor, row: Channel, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Channel:
        given = dict(form.cleaned_data)
        workspace, name = given.pop("workspace", None), given.pop("name", "")
        kind, make = given.pop("kind"), given.pop("make_secret", False)
        secret = given.pop("secret", "")
        if secret or make:
            given["secret"] = secret
        if "acts_as" in given:
            given["acts_as"] = given["acts_as"].username if given["acts_as"] else None
        if is_new:
            made = channel_create(actor, workspace=workspace, name=name, kind=kind, **given)
        else:
            made = channel_update(actor, channel=row, **given)
        row.made_secret = made.secret  # type: ignore[attr-defined]  # read once, by the response
        return made.channel

    def delete_row(self, actor: Actor, row: Channel) -> None:
        channel_delete(actor, channel=row)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what goes with a channel; whoever may delete it may delete that too."""
        channels = list(objs)
        deliveries = Delivery.objects.filter(channel__in=channels)
        unsent = deliveries.filter(state=DeliveryState.PENDING.value).count()
        named = [
            gettext("The channel %(name)s of %(workspace)s")
            % {"name": row.name, "workspace": row.workspace}
            for row in channels
        ]
        if unsent:
            named.append(
                ngettext(
                    "%(n)s message that is still to be sent, and will not be",
                    "%(n)s messages that are still to be sent, and will not be",
                    unsent,
                )
                % {"n": unsent}
            )
        return named, {"channels": len(channels), "deliveries": deliveries.count()}, set(), []

    # --- pages ------------------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Ask for the kind first: what else is asked depends on it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if not _kind_of(request):
            context = {
                **self.admin_site.each_context(request),
                "title": gettext("New channel"),
                "opts": self.opts,
                "kinds": KINDS,
            }
            return TemplateResponse(request, "admin/governance/channel/kinds.html", context)
        return super().add_view(request, form_url, extra_context)

    def get_changeform_initial_data(self, request: HttpRequest) -> Any:
        return {**super().get_changeform_initial_data(request), "kind": _kind_of(request)}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:channel_id>/test/", view(self.test_view), name="governance_channel_test"),
            path("<uuid:channel_id>/deliveries/", view(self.deliveries_view),
                 name="governance_channel_deliveries"),
            *super().get_urls(),
        ]  # fmt: skip

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        return {} if row is None else self._sent(request, row)

    def _sent(self, request: HttpRequest, row: Channel) -> dict[str, Any]:
        rows = list(Delivery.objects.filter(channel=row).order_by("-pk")[:SHOWN_DELIVERIES])
        listed = reverse("admin:governance_delivery_changelist")
        return {
            "channel": row,
            "may_edit": self.has_change_permission(request, row),
            "deliveries": [
                (each, delivery_pill(each), moment(each.created_at), moment(_next(each)))
                for each in rows
            ],
            "is_busy": any(each.state == DeliveryState.PENDING.value for each in rows),
            "deliveries_url": f"{listed}?channel__id__exact={row.pk}",
        }

    def deliveries_view(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        """The newest deliveries, for a page that waits for the outcome of one."""
        row = self._seen(request, channel_id)
        context = self._sent(request, row)
        return TemplateResponse(request, "admin/governance/channel/deliveries.html", context)

    def test_view(self, request: HttpRequest, channel_id: UUID) -> HttpResponse:
        """Send a message that says only that it is a test."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self._seen(request, channel_id)
        back = reverse("admin:governance_channel_change", args=[row.pk])
        try:
            channel_test(self.actor(request), channel=row)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            sentence = gettext(
                "A test message is on its way; its outcome is told under Deliveries."
            )
            self.message_user(request, sentence, messages.SUCCESS)
        return HttpResponseRedirect(f"{back}#deliveries")

    def _seen(self, request: HttpRequest, channel_id: UUID) -> Channel:
        row = self.get_object(request, str(channel_id))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        found: Channel = row
        return found

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._secret_page(request, obj) or HttpResponseRedirect(
            reverse("admin:governance_channel_change", args=[obj.pk])
        )

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._secret_page(request, obj) or super().response_change(request, obj)

    def _secret_page(self, request: HttpRequest, row: Any) -> HttpResponse | None:
        if not row.made_secret:
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("The signing secret of %(name)s") % {"name": row.name},
            "channel": row,
            "secret": row.made_secret,
            "back": reverse("admin:governance_channel_change", args=[row.pk]),
        }
        response = TemplateResponse(request, "admin/governance/channel/secret.html", context)
        response["Cache-Control"] = "no-store"
        return response


@admin.register(Delivery)
class DeliveryAdmin(GuardedAdmin):
    view_perm = Perm.CHANNEL_VIEW
    explanation = _("What was sent, what is still to be sent, and why something was not taken.")
    lesson = "console/lessons/deliveries.html"
    change_form_template = "admin/governance/delivery/change_form.html"
    list_display = ("event", "channel", "recipient", "state_shown", "attempts", "created",
                    "last_error")  # fmt: skip
    list_filter = ("state", "channel", "workspace")
    list_select_related = ("channel", "workspace")
    fields = ("event", "channel", "workspace", "recipient", "state_shown", "attempts", "created",
              "due", "last_error", "payload_shown")  # fmt: skip
    readonly_fields = fields
    actions = ("redeliver_selected",)

    created = moment_column("created_at", _("Written"))
    due = moment_column("due_at", _("Due"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Messages of channels, and one's own letters."""
        own = Q(channel__owner__isnull=True) | Q(channel__owner_id=self.actor(request).user_id)
        return super().get_queryset(request).filter(own)

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, row: Delivery) -> SafeString:
        return delivery_pill(row)

    @admin.display(description=_("Says"))
    def payload_shown(self, row: Delivery) -> SafeString:
        return json_block(row.payload)

    def has_redeliver_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Perm.CHANNEL_EDIT, None)

    @admin.action(description=_("Send the selected messages again"), permissions=["redeliver"])
    def redeliver_selected(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        sent = 0
        for row in rows:
            try:
                delivery_redeliver(self.actor(request), delivery=row)
            except DomainError as error:
                self.message_user(request, f"{row}: {error}", messages.WARNING)
            else:
                sent += 1
        if sent:
            self.message_user(
                request,
                ngettext(
                    "%(n)s is on its way again.",
                    "%(n)s are on their way again.",
                    sent,
                )
                % {"n": sent},
                messages.SUCCESS,
            )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.redeliver_view)
        return [
            path("<uuid:delivery_id>/redeliver/", view, name="governance_delivery_redeliver"),
            *super().get_urls(),
        ]

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return {}
        is_settled = row.state != DeliveryState.PENDING.value
        return {
            "state": delivery_pill(row),
            "may_redeliver": is_settled and self._may(request, Perm.CHANNEL_EDIT, row),
        }

    def redeliver_view(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        """Send one message once more, with the id it had."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.get_object(request, str(delivery_id))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        if not self._may(request, Perm.CHANNEL_EDIT, row):
            raise PermissionDenied(f"This needs the permission {Perm.CHANNEL_EDIT}.")
        try:
            delivery_redeliver(self.actor(request), delivery=row)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(
                request, gettext("The message is on its way again."), messages.SUCCESS
            )
        if "to_channel" in request.POST:
            back = reverse("admin:governance_channel_change", args=[row.channel_id])
            return HttpResponseRedirect(f"{back}#deliveries")
        return HttpResponseRedirect(reverse("admin:governance_delivery_change", args=[row.pk]))


def _kind_of(request: HttpRequest) -> str:
    """Return the kind that a new channel shall be of; empty: none was chosen."""
    given = request.POST.get("kind") or request.GET.get("kind", "")
    return given if given in list(ChannelKind) else ""


def _next(row: Delivery) -> Any:
    """Return when a message is tried next; None: it is settled."""
    return row.due_at if row.state == DeliveryState.PENDING.value else None
