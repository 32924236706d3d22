"""ServiceAdmin: guarded pages whose form is saved by a service, its complaints shown in the form.

The service runs while the form is validated, because only then can its complaints stand next to
the fields they are about; Django has opened a transaction around that, so a complaint leaves
nothing behind.
"""

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest

from core.errors import DomainError, InvalidInputError
from governance.guard.admin import GuardedAdmin
from governance.services.activity import recorded_as


class ServiceAdmin(GuardedAdmin):
    """Base. `save_row` is called by the form's validation.

    `places` maps what a complaint is about to a field of the form; "*" stands for everything the
    form has no field for. Without it such complaints stand above the form.
    """

    places: ClassVar[dict[str, str]] = {}

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        base = super().get_form(request, obj, change=change, **kwargs)
        page, actor = self, self.actor(request)

        class SavedForm(base):  # type: ignore[misc,valid-type]  # made by Django for this request
            stored: Any = None

            def _post_clean(self) -> None:
                super()._post_clean()
                if self.errors or request.method != "POST" or not self.is_bound:
                    return
                try:
                    with recorded_as(actor):
                        self.stored = page.save_row(
                            actor, self.instance, self, is_new=self.instance._state.adding
                        )
                except InvalidInputError as error:
                    refused(self, error, places=page.places)
                except DomainError as error:
                    self.add_error(None, str(error))

        return SavedForm

    def save_model(
        self, request: HttpRequest, obj: Any, form: "forms.ModelForm[Any]", change: bool
    ) -> None:
        stored = form.stored  # type: ignore[attr-defined]  # SavedForm
        obj.pk = stored.pk
        obj._state.adding = False


def refused(form: forms.BaseForm, error: InvalidInputError, *, places: dict[str, str]) -> None:
    """Put a complaint next to the fields it is about, or above the form."""
    for place, sentences in error.fields.items():
        top = place.partition(".")[0]
        own = next((name for name in (place, top) if name in form.fields), "")
        name = places.get(place) or places.get(top) or own or places.get("*", "")
        for sentence in sentences:
            shown = sentence if name == place else f"{place}: {sentence}"
            form.add_error(name or None, shown)
    if not error.fields:
        form.add_error(None, str(error))
