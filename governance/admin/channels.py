"""Pages of channels and of what was sent through them."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from core.admin import NOTHING, moment_column, pill
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin
from governance.models import Channel, ChannelIdentity, Delivery
from governance.selectors.channels import address_shown

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    _Inline = admin.TabularInline[ChannelIdentity, Channel]
else:  # generic for the type checker only
    _Inline = admin.TabularInline


class IdentityInline(_Inline):
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
class ChannelAdmin(GuardedAdmin):
    """Shown here; made and changed by REST, which can show a new secret once."""

    view_perm = Perm.CHANNEL_VIEW
    explanation = "Where news of approvals goes, and who of a channel is who here."
    list_display = ("name", "workspace", "kind", "state_shown", "changed")
    list_filter = ("kind", "workspace")
    list_select_related = ("workspace",)
    search_fields = ("name__istartswith",)
    fields = ("name", "workspace", "kind", "state_shown", "goes_to", "addresses", "events",
              "acts_as", "changed")  # fmt: skip
    readonly_fields = fields
    inlines = (IdentityInline,)
    actions = ()

    changed = moment_column("updated_at", "Changed")

    @admin.display(description="Goes to")
    def goes_to(self, row: Channel) -> str:
        return address_shown(row.url) or NOTHING

    @admin.display(description="State", ordering="is_enabled")
    def state_shown(self, row: Channel) -> "SafeString":
        return pill("on" if row.is_enabled else "off", label="on" if row.is_enabled else "off")


@admin.register(Delivery)
class DeliveryAdmin(GuardedAdmin):
    view_perm = Perm.CHANNEL_VIEW
    explanation = "What was sent, what is still to be sent, and why something was not taken."
    list_display = ("event", "channel", "recipient", "state_shown", "attempts", "created",
                    "last_error")  # fmt: skip
    list_filter = ("state", "channel", "workspace")
    list_select_related = ("channel", "workspace")
    fields = ("event", "channel", "workspace", "recipient", "state_shown", "attempts", "created",
              "due", "last_error", "payload")  # fmt: skip
    readonly_fields = fields
    actions = ()

    created = moment_column("created_at", "Written")
    due = moment_column("due_at", "Due")

    @admin.display(description="State", ordering="state")
    def state_shown(self, row: Delivery) -> "SafeString":
        return pill(row.state)
