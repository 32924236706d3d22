"""GuardedAdmin: admin pages whose every row, form and choice passes the decision point.

A subclass says `view_perm` and, if people may change rows here, `edit_perm`; without the second it
is read-only. Lists, forms, related choices and list filters show only what the actor may see.
Changes go through services: `save_row` and `delete_row` call them, and their errors come back as a
message on the page with nothing changed.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.filters import RelatedFieldListFilter
from django.core.exceptions import (
    BadRequest,
    ImproperlyConfigured,
    PermissionDenied,
    ValidationError,
)
from django.db import transaction
from django.db.models import (
    DateTimeField,
    Field,
    ForeignKey,
    JSONField,
    ManyToManyField,
    Model,
    QuerySet,
)
from django.db.models.fields import BLANK_CHOICE_DASH
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

from core.errors import DomainError, InvalidInputError, NotAuthenticatedError
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.authentication import actor_of
from governance.guard.history import changes_of
from governance.models import User, Workspace
from governance.selectors.users import user_list
from governance.services.activity import recorded_as

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin

_DASHES: Final = BLANK_CHOICE_DASH[0][1]
_CHOOSE: Final = gettext_lazy("Choose one")
_CHOOSE_ACTION: Final = gettext_lazy("Choose what to do")
_NOT_CHOSEN: Final = gettext_lazy("Nothing chosen")

SITE_ADMIN: Final = "site-admin"  # superusers, for rows outside any workspace

Needed: TypeAlias = Perm | str

# How a filter that a list offers may be asked: for values, never for what is in them.
_WAYS: Final = frozenset({"exact", "in", "isnull"})


class ScopedRelatedFilter(RelatedFieldListFilter):
    """A list filter that offers only related rows the actor may see, and never none of them."""

    @property
    def include_empty_choice(self) -> bool:
        return False

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        rows = model_admin.related_rows(field, request)
        return [(str(row.pk), str(row)) for row in rows]


class MomentInput(forms.DateTimeInput):
    """The browser's own chooser of a day and a time."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%dT%H:%M")


def with_code(text: Any) -> Any:
    """Return a sentence with what stands between backticks as code; HTML stays as it is."""
    parts = str(text).split("`")
    if len(parts) < 3 or "<" in str(text):
        return text
    marked = (
        (format_html("<code>{}</code>", part) if n % 2 else part) for n, part in enumerate(parts)
    )
    return format_html_join("", "{}", ((part,) for part in marked))


def _say_nothing_chosen(field: forms.Field) -> None:
    """Write what an empty choice means in words, where Django writes dashes."""
    words = _CHOOSE if field.required else _NOT_CHOSEN
    if isinstance(field, forms.ModelChoiceField):
        if field.empty_label == _DASHES:
            field.empty_label = words
    elif isinstance(field, forms.ChoiceField):
        choices: list[Any] = list(cast("Iterable[Any]", field.choices))
        if choices and choices[0][1] == _DASHES:
            field.choices = [(choices[0][0], words), *choices[1:]]


class GuardedAdmin(_ModelAdmin):
    """See the module. `workspace_path` is as `access.scope` takes it; None: a site admin's rows.

    `fixed_fields` are given when a row is made and never change afterwards.
    """

    view_perm: ClassVar[Needed | None] = None
    edit_perm: ClassVar[Needed | None] = None
    can_add: ClassVar[bool] = False
    can_delete: ClassVar[bool] = False
    workspace_path: ClassVar[str] = "workspace"
    fixed_fields: ClassVar[tuple[str, ...]] = ()
    document_kind: ClassVar[str] = ""  # what `apply` calls these rows; it can be exported then
    show_full_result_count = False
    formfield_overrides = {
        DateTimeField: {"form_class": forms.DateTimeField, "widget": MomentInput},
        JSONField: {"widget": forms.Textarea(attrs={"class": "code", "rows": 4})},
    }

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        if self.view_perm is None:
            raise ImproperlyConfigured(
                f"{type(self).__name__} declares no view_perm; nobody could open it."
            )
        super().__init__(model, admin_site)

    # --- may they ---------------------------------------------------------------------------------

    def actor(self, request: HttpRequest) -> Actor:
        return actor_of(request)

    def workspace_of(self, row: Any) -> Any:
        """Return the workspace (or its id) a row belongs to, along `workspace_path`."""
        for part in self.workspace_path.split("__"):
            row = getattr(row, part)
        return row

    def _may(self, request: HttpRequest, needed: Needed | None, row: Any | None) -> bool:
        if needed is None:
            return False
        try:
            actor = self.actor(request)
        except NotAuthenticatedError:
            return False
        if needed == SITE_ADMIN:
            return actor.is_superuser
        if row is None:
            return actor.is_superuser or may_somewhere(request, actor, needed)
        return access.can(actor, needed, self.workspace_of(row))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.view_perm, None)

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self._may(request, self.view_perm, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self._may(request, self.edit_perm, obj)

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Say whether rows can be taken away as documents; asked by the console's action."""
        return bool(self.document_kind) and self._may(request, self.view_perm, None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and self._may(request, self.edit_perm, None)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.can_delete and self._may(request, self.edit_perm, obj)

    # --- what they see ----------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        actor = self.actor(request)
        if self.view_perm is None or self.view_perm == SITE_ADMIN:
            return rows if actor.is_superuser else rows.none()
        return access.scope(actor, self.view_perm, rows, field=self.workspace_path)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [
            (item, ScopedRelatedFilter) if self._is_relation(item) else item
            for item in super().get_list_filter(request)
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Let an address narrow a list by what the list offers, and by nothing else.

        Django lets addresses ask for any column of the model: a list that does tells what is in a
        column, letter by letter, to who may see the rows and not the column.
        """
        named, _, way = lookup.rpartition("__")
        if way not in _WAYS:
            named = lookup
        return named in {each for item in self.list_filter for each in _names_of(item)}

    def _is_relation(self, item: Any) -> bool:
        if not isinstance(item, str) or "__" in item or not hasattr(self.model, item):
            return False
        return bool(self.opts.get_field(item).is_relation)

    def related_rows(self, field: Any, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows of a related model the actor may see and choose; unknown ones: none."""
        actor = self.actor(request)
        related: Any = field.related_model
        needed = self.edit_perm if self.edit_perm not in {None, SITE_ADMIN} else self.view_perm
        if related is Workspace and needed not in {None, SITE_ADMIN}:
            return access.scope(actor, str(needed), Workspace.objects.all(), field="pk")
        if related is User:
            return user_list(actor)
        keeper = self.admin_site._registry.get(related)
        if isinstance(keeper, GuardedAdmin):
            return keeper.get_queryset(request)
        rows: QuerySet[Any] = related._default_manager.all()
        return rows if actor.is_superuser else rows.none()

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else (*fields, *self.fixed_fields)

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        if isinstance(db_field, DateTimeField) and not db_field.help_text:
            kwargs.setdefault("help_text", gettext_lazy("In UTC."))
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        rows = kwargs.setdefault("queryset", self.related_rows(db_field, request))
        if db_field.related_model is Workspace and not db_field.blank:
            choices = list(rows.values_list("pk", flat=True)[:2])
            if len(choices) == 1:
                kwargs.setdefault("initial", choices[0])
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        kwargs.setdefault("queryset", self.related_rows(db_field, request))
        kwargs.setdefault("widget", forms.CheckboxSelectMultiple)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Draw the form without what is clutter here: colons after labels, rows of dashes."""
        form = context["adminform"].form
        form.label_suffix = ""
        for field in form.fields.values():
            _say_nothing_chosen(field)
            field.help_text = with_code(field.help_text)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_action_choices(self, request: HttpRequest, default_choices: Any = None) -> Any:
        return super().get_action_choices(request, default_choices or [("", _CHOOSE_ACTION)])

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Name what goes. Who may delete a row may delete what belongs to it: services see to that,
        and refuse what is still needed."""
        rows = list(objs)
        _, counts, _, protected = super().get_deleted_objects(rows, request)
        named = [capfirst(f"{self.opts.verbose_name} {row}") for row in rows]
        return named, counts, set(), protected

    # --- what they change -------------------------------------------------------------------------

    def save_row(self, actor: Actor, row: Any, form: "ModelForm[Any]", *, is_new: bool) -> Any:
        """Call the service that creates or changes the row; return it as stored."""
        raise NotImplementedError(f"{type(self).__name__} may edit but has no save_row")

    def delete_row(self, actor: Actor, row: Any) -> None:
        """Call the service that deletes or ends the row."""
        raise NotImplementedError(f"{type(self).__name__} may delete but has no delete_row")

    def save_model(
        self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: bool
    ) -> None:
        stored = self.save_row(self.actor(request), obj, form, is_new=not change)
        obj.pk = stored.pk
        obj._state.adding = False
        if not self.get_queryset(request).filter(pk=obj.pk).exists():
            raise PermissionDenied("The change would put the row out of your reach.")

    def save_related(
        self, request: HttpRequest, form: "ModelForm[Any]", formsets: Any, change: bool
    ) -> None:
        """Do nothing: services have stored everything, relations included."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(self.actor(request), obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in queryset:
                self.delete_row(self.actor(request), row)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        extra = dict(extra_context or {})
        if object_id:
            extra |= self.beside_form(request, object_id)
        return self._with_errors_shown(
            request,
            lambda: super(GuardedAdmin, self).changeform_view(request, object_id, form_url, extra),
        )

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Return what the template of a row's page shows beside the form."""
        return {}

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return self._with_errors_shown(
            request,
            lambda: super(GuardedAdmin, self).delete_view(request, object_id, extra_context),
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show recorded activity with its field differences instead of Django's own log."""
        row = self.get_object(request, object_id)
        changes = [] if row is None else changes_of(self.actor(request), row)
        return super().history_view(
            request, object_id, {"changes": changes, **(extra_context or {})}
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return self._with_errors_shown(
            request, lambda: super(GuardedAdmin, self).changelist_view(request, extra_context)
        )

    def _with_errors_shown(
        self, request: HttpRequest, work: Callable[[], HttpResponse]
    ) -> HttpResponse:
        """Run a view as the signed-in actor; show an expected failure on the page it came from."""
        try:
            actor = self.actor(request)
        except NotAuthenticatedError:
            raise PermissionDenied from None
        try:
            with recorded_as(actor):
                return work()
        except DomainError as error:
            if request.method != "POST":
                is_malformed = isinstance(error, InvalidInputError)
                raise (BadRequest if is_malformed else PermissionDenied)(str(error)) from error
            self.message_user(request, str(error), messages.ERROR)
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())


def _names_of(item: Any) -> set[str]:
    """Return by which names addresses may narrow a list that offers this filter."""
    if isinstance(item, tuple):
        item = item[0]
    if isinstance(item, str):
        return {item, f"{item}__id"}
    return {str(item.parameter_name), str(item.parameter_name).rpartition("__")[0]}


def may_somewhere(request: HttpRequest, actor: Actor, needed: Needed) -> bool:
    """Say whether there is a workspace where the actor may do this; asked once a request.

    Every page lists what the console has, and so asks for each model several times.
    """
    held: frozenset[Perm] | None = request.__dict__.get("_held_somewhere")
    if held is None:
        held = request.__dict__["_held_somewhere"] = access.permissions_somewhere(actor)
    return needed in held
