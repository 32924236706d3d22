"""Pages about who may do what: users, workspaces, members, roles and tokens."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.admin import moment_column
from core.events import publish
from governance.access import AccessChanged
from governance.contracts import Actor, Perm
from governance.guard.admin import SITE_ADMIN, GuardedAdmin
from governance.models import (
    ApiToken,
    Membership,
    Role,
    User,
    Workspace,
)
from governance.selectors.tokens import token_list
from governance.services.members import member_add, member_remove, membership_set_roles
from governance.services.roles import role_create, role_delete, role_update
from governance.services.tokens import IssuedToken, token_issue, token_revoke
from governance.services.users import account_record, account_state, password_recorded
from governance.services.workspaces import workspace_create, workspace_update

if TYPE_CHECKING:
    from django.db.models import Field

    _UserAdmin = DjangoUserAdmin[User]
    _RoleForm = forms.ModelForm[Role]
    _TokenForm = forms.ModelForm[ApiToken]
else:  # generic for the type checker only
    _UserAdmin = DjangoUserAdmin
    _RoleForm = _TokenForm = forms.ModelForm

PERM_CHOICES = [(perm.value, perm.value) for perm in Perm]


class PermissionChoices(forms.MultipleChoiceField):
    """Check boxes for values of Perm, stored as a list."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        super().__init__(choices=PERM_CHOICES, widget=forms.CheckboxSelectMultiple, **kwargs)


_HELP = {
    "is_active": _("Off: cannot sign in, and its tokens are refused. Rather this than deletion."),
    "is_staff": _("May sign in to the console. What is seen there depends on roles: see Members."),
    "is_superuser": _("Looks after the site, and may do everything in every workspace."),
}


@admin.register(User)
class UserAdmin(GuardedAdmin, _UserAdmin):
    """People and service accounts; a superuser's page."""

    view_perm = SITE_ADMIN
    edit_perm = SITE_ADMIN
    can_add = True
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "is_service")
    list_filter = ("is_active", "is_staff", "is_superuser", "is_service")
    search_fields = ("username", "email")
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password", "email")}),
        (_("Sign-in"), {"fields": ("is_active", "is_staff", "is_superuser", "is_service")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )

    add_fieldsets = (
        (None, {"fields": ("username", "email", "usable_password", "password1", "password2")}),
        (_("Sign-in"), {"fields": ("is_staff",)}),
    )

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Say what a switch means here, in place of Django's words."""
        if db_field.name in _HELP:
            kwargs["help_text"] = _HELP[db_field.name]
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002 - Django's name
        form_url: str = "",
    ) -> HttpResponse:
        """Django's page for somebody's password; the new one is in the audit chain."""
        user = self.get_object(request, unquote(id))
        if user is None or not self.has_change_permission(request, user):
            raise PermissionDenied
        if user.is_service:
            raise PermissionDenied("A service account signs in by token and has no password.")
        with password_recorded(self.actor(request), user_id=user.pk):
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def save_row(
        self, actor: Actor, row: User, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> User:
        stored = User.objects.filter(pk=row.pk).first()
        if row.is_service:
            row.set_unusable_password()
        row.save()
        publish(AccessChanged(user_ids=frozenset({row.pk})))
        before = None if stored is None else account_state(stored)
        account_record(actor, row, before=before)
        return row


@admin.register(Workspace)
class WorkspaceAdmin(GuardedAdmin):
    view_perm = Perm.WORKSPACE_VIEW
    edit_perm = Perm.WORKSPACE_MANAGE
    workspace_path = "pk"
    list_display = ("name", "title", "made")
    search_fields = ("name", "title")
    fields = ("name", "title")

    made = moment_column("created_at", _("Made"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, SITE_ADMIN, None)

    def save_row(
        self, actor: Actor, row: Workspace, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Workspace:
        if is_new:
            return workspace_create(actor, name=row.name, title=row.title)
        return workspace_update(actor, workspace=row, name=row.name, title=row.title)


@admin.register(Membership)
class MembershipAdmin(GuardedAdmin):
    view_perm = Perm.WORKSPACE_VIEW
    edit_perm = Perm.WORKSPACE_MANAGE
    can_add = True
    can_delete = True
    fixed_fields = ("workspace", "user")
    list_display = ("user", "workspace", "role_names", "since")
    list_filter = ("workspace",)
    search_fields = ("user__username",)
    fields = ("workspace", "user", "roles")

    since = moment_column("created_at", _("Since"))

    @admin.display(description=_("Roles"))
    def role_names(self, row: Membership) -> str:
        return ", ".join(role.name for role in row.roles.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.select_related("user", "workspace").prefetch_related("roles")

    def save_row(
        self, actor: Actor, row: Membership, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Membership:
        names = [role.name for role in form.cleaned_data["roles"]]
        if is_new:
            return member_add(
                actor, workspace=row.workspace, username=row.user.username, roles=names
            )
        return membership_set_roles(actor, membership=row, roles=names)

    def delete_row(self, actor: Actor, row: Membership) -> None:
        member_remove(actor, membership=row)


class RoleForm(_RoleForm):
    permissions = PermissionChoices()

    class Meta:
        model = Role
        fields: ClassVar = ("workspace", "name", "permissions")


@admin.register(Role)
class RoleAdmin(GuardedAdmin):
    """Roles of workspaces; built-in ones are shown and never change here."""

    view_perm = Perm.WORKSPACE_VIEW
    edit_perm = Perm.WORKSPACE_MANAGE
    can_add = True
    can_delete = True
    form = RoleForm
    fixed_fields = ("workspace",)
    list_display = ("name", "held_in", "permission_count")
    search_fields = ("name",)

    @admin.display(description=_("Workspace"), ordering="workspace")
    def held_in(self, row: Role) -> str:
        return row.workspace.name if row.workspace else gettext("every workspace (built in)")

    @admin.display(description=_("Permissions"))
    def permission_count(self, row: Role) -> int:
        return len(row.permissions)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        seen = super().get_queryset(request).values("pk")
        built_in = Q(workspace__isnull=True)
        return Role.objects.filter(built_in | Q(pk__in=seen)).select_related("workspace")

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        own = obj if obj is not None and obj.workspace_id is not None else None
        return super().has_view_permission(request, own)

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return not _is_built_in(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return not _is_built_in(obj) and super().has_delete_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        field.required = True  # a role without a workspace is a built-in one
        return field

    def save_row(
        self, actor: Actor, row: Role, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Role:
        values = form.cleaned_data["permissions"]
        if is_new:
            assert row.workspace is not None  # the form requires it
            return role_create(actor, workspace=row.workspace, name=row.name, permissions=values)
        stored = Role.objects.get(pk=row.pk)
        return role_update(actor, role=stored, name=row.name, permissions=values)

    def delete_row(self, actor: Actor, row: Role) -> None:
        role_delete(actor, role=row)


class TokenForm(_TokenForm):
    scopes = PermissionChoices(help_text=_("None ticked: all its owner may."))

    class Meta:
        model = ApiToken
        fields: ClassVar = ("name", "workspace", "scopes", "expires_at")


@admin.register(ApiToken)
class ApiTokenAdmin(GuardedAdmin):
    """One's own tokens and those one manages. Adding shows the secret once; deleting revokes."""

    view_perm = Perm.WORKSPACE_VIEW
    edit_perm = Perm.WORKSPACE_VIEW
    can_add = True
    can_delete = True
    form = TokenForm
    list_display = (
        "name", "user", "prefix", "workspace", "expires", "used", "revoked",
    )  # fmt: skip
    list_filter = ("workspace",)
    search_fields = ("name", "prefix")
    actions = ()

    expires = moment_column("expires_at", _("Expires"))
    used = moment_column("last_used_at", _("Last used"))
    revoked = moment_column("revoked_at", _("Revoked"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return token_list(self.actor(request)).order_by("-created_at")

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        if obj is None:
            return super().has_view_permission(request)
        return token_list(self.actor(request)).filter(pk=obj.pk).exists()

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def save_row(
        self, actor: Actor, row: ApiToken, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> ApiToken:
        issued = token_issue(
            actor,
            name=row.name,
            workspace=row.workspace,
            scopes=form.cleaned_data["scopes"] or None,
            expires_at=row.expires_at,
        )
        row.issued = issued  # type: ignore[attr-defined]  # read once, by response_add
        return issued.token

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        issued: IssuedToken = obj.issued
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Token issued"),
            "token": issued.token,
            "secret": issued.secret,
            "back": reverse(f"{self.admin_site.name}:governance_apitoken_changelist"),
        }
        response = TemplateResponse(request, "governance/token_issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def delete_row(self, actor: Actor, row: ApiToken) -> None:
        token_revoke(actor, token=row)


def _is_built_in(row: Any | None) -> bool:
    return row is not None and row.workspace_id is None
