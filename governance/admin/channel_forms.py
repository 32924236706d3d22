"""The form of a channel; the secret goes in and is never shown again."""

from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from governance.contracts import ChannelEvent, ChannelKind
from governance.models import Channel
from governance.models.workspace import NAME_PATTERN

if TYPE_CHECKING:
    _ChannelForm = forms.ModelForm[Channel]
else:  # generic for the type checker only
    _ChannelForm = forms.ModelForm

_EVENTS: Final = (
    (ChannelEvent.APPROVAL_ASKED.value, _("a person is asked")),
    (ChannelEvent.APPROVAL_DECIDED.value, _("somebody has decided")),
    (ChannelEvent.APPROVAL_EXPIRING.value, _("a question is about to expire")),
    (ChannelEvent.APPROVAL_ESCALATED.value, _("a question goes to others")),
    (ChannelEvent.RUN_FAILED.value, _("a run failed: the first of an agent for a reason")),
    (ChannelEvent.BUDGET_WARNING.value, _("80 % of a budget is spent")),
    (ChannelEvent.BUDGET_EXHAUSTED.value, _("a budget is used up")),
)
# What is asked of a channel of each kind, beside what is asked of all of them.
FIELDS: Final = {
    ChannelKind.WEBHOOK.value: ("url", "acts_as", "secret", "make_secret"),
    ChannelKind.SLACK.value: ("url", "secret", "identities"),
    ChannelKind.EMAIL.value: ("addresses",),
}
_SECRET_HELP: Final = {
    "webhook": _("Base64 of 24 to 64 bytes. Empty: the one there is stays."),
    "slack": _("The signing secret of the Slack app. Empty: the one there is stays."),
}
_NEW_SECRET_HELP: Final = {
    "webhook": _("Base64 of 24 to 64 bytes. Empty: one is made, and shown to you once."),
    "slack": _("The signing secret of the Slack app."),
}


class Lines(forms.CharField):
    """One entry a line."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "lines", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        if self.required and not value:
            raise forms.ValidationError(self.error_messages["required"], code="required")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data or "") != (initial or []))


class Identities(Lines):
    """Members of the channel with the accounts they are here, one pair a line."""

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return "\n".join(f"{member} {username}" for member, username in value.items())

    def to_python(self, value: Any) -> Any:
        found: dict[str, str] = {}
        for number, line in enumerate(super().to_python(value), start=1):
            parts = line.split()
            if len(parts) != 2:
                raise forms.ValidationError(
                    gettext(
                        "Line %(number)s is not a member and a username, such as `U024BE7LH ann`."
                    )
                    % {"number": number}
                )
            if parts[0] in found:
                raise forms.ValidationError(
                    gettext("Line %(number)s names %(member)s a second time.")
                    % {"number": number, "member": parts[0]}
                )
            found[parts[0]] = parts[1]
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((data or "").split() != (self.prepare_value(initial or {}) or "").split())


class ChannelForm(_ChannelForm):
    name = forms.CharField(
        max_length=63,
        validators=[NAME_PATTERN],
        help_text=_("Stands in the address that decisions come back to."),
    )
    kind = forms.CharField(widget=forms.HiddenInput)
    events = forms.MultipleChoiceField(
        choices=_EVENTS, widget=forms.CheckboxSelectMultiple, label=_("Tell when")
    )
    url = forms.CharField(
        max_length=2000,
        required=False,
        label=_("Address"),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
        help_text=_("Messages are posted to it. Private addresses take AGENTRY_FETCH_ALLOW."),
    )
    addresses = Lines(
        required=False, help_text=_("One a line. None: those who may decide, each at their own.")
    )
    identities = Identities(
        required=False,
        label=_("Who is who"),
        help_text=_(
            "One a line: the member's id in Slack and the username here, such as "
            "U024BE7LH ann. Who is not listed is nobody."
        ),
    )
    secret = forms.CharField(
        max_length=500,
        required=False,
        label=_("Signing secret"),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    make_secret = forms.BooleanField(
        required=False,
        label=_("Make a new signing secret"),
        help_text=_(
            "It is shown to you once; messages are signed with it from then on, and "
            "decisions signed with the one before are refused."
        ),
    )

    class Meta:
        model = Channel
        fields: ClassVar = ("workspace", "name", "kind", "is_enabled", "url", "addresses",
                            "events", "acts_as")  # fmt: skip
        labels: ClassVar = {"is_enabled": _("Switched on"), "acts_as": _("Decides as")}
        help_texts: ClassVar = {
            "acts_as": _(
                "The account whose decisions come in by webhook, with its permissions and "
                "no more. None: no decisions are taken."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        kind = (
            self.data.get("kind") or self.initial.get("kind", "") if is_new else self.instance.kind
        )
        for name in {name for names in FIELDS.values() for name in names} - set(FIELDS[kind]):
            self.fields.pop(name, None)
        if is_new:
            self.fields.pop("make_secret", None)
            self.initial["events"] = [value for value, _ in _EVENTS]
        if "secret" in self.fields:
            helps = _NEW_SECRET_HELP if is_new else _SECRET_HELP
            self.fields["secret"].help_text = helps[kind]
            self.fields["secret"].required = is_new and kind == ChannelKind.SLACK.value
        if "url" in self.fields:
            self.fields["url"].required = True
        if "identities" in self.fields and not is_new:
            people = self.instance.identities.values_list("external_id", "user__username")
            self.initial["identities"] = dict(people)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("secret") and given.get("make_secret"):
            self.add_error("make_secret", gettext("Give a secret or have one made, not both."))
        return given
