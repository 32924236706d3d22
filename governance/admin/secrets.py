"""Pages of secrets: what there is and when it was used; values go in and are never shown."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from core.admin import moment_column
from governance.contracts import Actor, Perm
from governance.guard.admin import GuardedAdmin
from governance.models import Secret
from governance.secrets.names import NAME_FORM
from governance.services.secrets import (
    MAX_VALUE_CHARS,
    secret_delete,
    secret_describe,
    secret_set,
)

if TYPE_CHECKING:
    _SecretForm = forms.ModelForm[Secret]
else:  # generic for the type checker only
    _SecretForm = forms.ModelForm


class SecretForm(_SecretForm):
    value = forms.CharField(
        max_length=MAX_VALUE_CHARS,
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Goes in and is never shown again. Empty: the value stays as it is."),
    )
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Secret
        fields: ClassVar = ("workspace", "name", "description")
        help_texts: ClassVar = {"name": NAME_FORM}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        self.fields["value"].required = is_new
        self.initial["seen_version"] = 0 if is_new else self.instance.version


@admin.register(Secret)
class SecretAdmin(GuardedAdmin):
    view_perm = Perm.SECRET_VIEW
    edit_perm = Perm.SECRET_EDIT
    can_add = True
    can_delete = True
    form = SecretForm
    lesson = "console/lessons/secrets.html"
    explanation = _("Credentials that tools and providers ask for by name. Values are never shown.")
    fixed_fields = ("workspace", "name")
    list_display = ("name", "workspace", "description", "version", "changed", "updated_by", "used")
    list_filter = ("workspace",)
    list_select_related = ("workspace", "updated_by")
    search_fields = ("name", "description")
    fields = ("workspace", "name", "description", "value", "seen_version")
    actions = ()

    changed = moment_column("updated_at", _("Changed"))
    used = moment_column("used_at", _("Used"))

    def save_row(
        self, actor: Actor, row: Secret, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Secret:
        value = form.cleaned_data["value"]
        if not is_new and not value:
            return secret_describe(actor, secret=row, description=row.description)
        return secret_set(
            actor,
            workspace=row.workspace,
            name=row.name,
            value=value,
            description=row.description,
            expected_version=form.cleaned_data["seen_version"] or 0,
        )

    def delete_row(self, actor: Actor, row: Secret) -> None:
        secret_delete(actor, secret=row)
