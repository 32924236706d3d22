"""REST views of secrets: values go in and never come out."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.preconditions import etag_of
from core.api.serializers import StrictSerializer
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from governance.models import Secret
from governance.services.secrets import (
    MAX_DESCRIPTION_CHARS,
    MAX_VALUE_CHARS,
    secret_delete,
    secret_describe,
    secret_rotate,
    secret_set,
)


class SecretSerializer(serializers.ModelSerializer[Secret]):
    """What may be known of a secret: everything but its value."""

    updated_by = serializers.CharField(
        source="updated_by.username", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = Secret
        fields = (
            "name", "description", "version", "created_at", "updated_at", "updated_by", "used_at",
        )  # fmt: skip
        read_only_fields = fields


class SecretValueInput(StrictSerializer):
    value = serializers.CharField(
        max_length=MAX_VALUE_CHARS, trim_whitespace=False, write_only=True
    )
    version = serializers.IntegerField(
        min_value=0, required=False, help_text="The version you have seen; 0: there is none."
    )


class SecretChange(SecretValueInput):
    """Some of it; `version` comes with a value."""

    description = serializers.CharField(
        max_length=MAX_DESCRIPTION_CHARS, required=False, allow_blank=True
    )


class SecretInput(SecretChange):
    name = serializers.CharField(max_length=63, trim_whitespace=False)


class SecretViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin, UpdateMixin, DestroyMixin):
    """Credentials that tools and providers ask for by name."""

    perms = {
        "list": Perm.SECRET_VIEW,
        "retrieve": Perm.SECRET_VIEW,
        "create": Perm.SECRET_EDIT,
        "partial_update": Perm.SECRET_EDIT,
        "rotate": Perm.SECRET_EDIT,
        "destroy": Perm.SECRET_EDIT,
    }
    queryset = Secret.objects.select_related("updated_by")
    serializer_class = SecretSerializer
    input_serializers = {
        "create": SecretInput, "partial_update": SecretChange, "rotate": SecretValueInput,
    }  # fmt: skip
    lookup_field = "name"
    cursor_field = "name"

    def tag_of(self, data: Any) -> str:
        """Using a secret does not change it."""
        return etag_of({name: value for name, value in data.items() if name != "used_at"})

    @extend_schema(
        description="Create the secret, or give it another value; the same value again changes "
        "nothing. With `version` 0 it must not be there.",
        request=SecretInput,
        responses={200: SecretSerializer, 201: SecretSerializer},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = self.checked()
        data["expected_version"] = data.pop("version", None)
        before = Secret.objects.filter(workspace=self.workspace, name=data["name"]).first()
        row = secret_set(self.actor, workspace=self.workspace, **data)
        is_new = before is None or before.pk != row.pk
        return self.answer(
            row, status_code=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        )

    def perform_update(self, row: Secret, data: dict[str, Any]) -> Secret:
        if "value" not in data:
            return secret_describe(
                self.actor, secret=row, description=data.get("description", row.description)
            )
        return secret_set(
            self.actor,
            workspace=self.workspace,
            name=row.name,
            value=data["value"],
            description=data.get("description"),
            expected_version=data.get("version", row.version),
        )

    @extend_schema(
        description="Replace the value of a secret that is there by another one.",
        request=SecretValueInput,
        responses={200: SecretSerializer},
    )
    def rotate(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        data = self.checked()
        return self.answer(
            secret_rotate(
                self.actor,
                secret=row,
                value=data["value"],
                expected_version=data.get("version"),
            )
        )

    def perform_destroy(self, row: Secret) -> None:
        secret_delete(self.actor, secret=row)
