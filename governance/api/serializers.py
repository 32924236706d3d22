"""What the governance API takes and shows."""

from typing import Any

from auditlog.models import LogEntry
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.serializers import StrictSerializer
from governance.contracts import AuditAction, Perm
from governance.models import ApiToken, Membership, Role, User, Workspace
from governance.models.workspace import NAME_PATTERN

PERMS = [perm.value for perm in Perm]


def _name_field(**options: Any) -> serializers.CharField:
    return serializers.CharField(max_length=63, validators=[NAME_PATTERN], **options)


class PermListField(serializers.ListField):
    """Values of Perm, each at most once."""

    child = serializers.ChoiceField(choices=PERMS)

    def to_internal_value(self, data: Any) -> list[Any]:
        return sorted(set(super().to_internal_value(data)))


class WorkspaceSerializer(serializers.ModelSerializer[Workspace]):
    class Meta:
        model = Workspace
        fields = ("id", "name", "title", "created_at")
        read_only_fields = fields


class WorkspaceInput(StrictSerializer):
    name = _name_field()
    title = serializers.CharField(max_length=200, allow_blank=True, required=False)


class RoleSerializer(serializers.ModelSerializer[Role]):
    is_builtin = serializers.SerializerMethodField()
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=PERMS))

    class Meta:
        model = Role
        fields = ("id", "name", "is_builtin", "permissions")
        read_only_fields = fields

    def get_is_builtin(self, role: Role) -> bool:
        return role.workspace_id is None


class RoleInput(StrictSerializer):
    name = _name_field()
    permissions = PermListField(max_length=200)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    username = serializers.CharField(source="user.username", read_only=True)
    user_id = serializers.UUIDField(read_only=True)
    roles: Any = serializers.SlugRelatedField("name", many=True, read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "user_id", "username", "roles", "created_at")
        read_only_fields = fields


class RolesInput(StrictSerializer):
    roles = serializers.ListField(child=serializers.CharField(max_length=63), max_length=50)


class MemberInput(RolesInput):
    username = serializers.CharField(max_length=150)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    username = serializers.CharField(source="user.username", read_only=True)
    workspace: Any = serializers.SlugRelatedField("name", read_only=True, allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField(), allow_null=True, read_only=True)

    class Meta:
        model = ApiToken
        fields = (
            "id", "name", "prefix", "username", "workspace", "scopes", "created_at", "expires_at",
            "last_used_at", "revoked_at",
        )  # fmt: skip
        read_only_fields = fields


class IssuedTokenSerializer(TokenSerializer):
    secret = serializers.CharField(read_only=True, help_text="Shown this once.")

    class Meta(TokenSerializer.Meta):
        fields: Any = (*TokenSerializer.Meta.fields, "secret")
        read_only_fields = fields


class TokenInput(StrictSerializer):
    name = serializers.CharField(max_length=100)
    workspace = serializers.CharField(
        max_length=63, required=False, allow_null=True, help_text="Name or id; null: all."
    )
    scopes = PermListField(max_length=200, required=False, allow_null=True)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    user_id = serializers.UUIDField(
        required=False, help_text="Owner; for superusers, for example of service accounts."
    )


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = (
            "id", "username", "email", "is_active", "is_staff", "is_superuser", "is_service",
            "date_joined",
        )  # fmt: skip
        read_only_fields = fields


class UserInput(StrictSerializer):
    username = serializers.RegexField(r"^[\w.@+-]+\Z", max_length=150)
    password = serializers.CharField(max_length=200, required=False, trim_whitespace=False)
    email = serializers.EmailField(required=False, allow_blank=True)
    is_service = serializers.BooleanField(required=False)
    is_staff = serializers.BooleanField(required=False)
    is_superuser = serializers.BooleanField(required=False)


class UserChange(StrictSerializer):
    password = serializers.CharField(max_length=200, required=False, trim_whitespace=False)
    email = serializers.EmailField(required=False, allow_blank=True)
    is_active = serializers.BooleanField(required=False)
    is_staff = serializers.BooleanField(required=False)


class MeUserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    is_superuser = serializers.BooleanField()


class MeTokenSerializer(TokenSerializer):
    """What a token's bearer may know of it; null scopes or workspace: not narrowed."""

    class Meta(TokenSerializer.Meta):
        fields: Any = ("id", "name", "prefix", "scopes", "workspace", "expires_at")
        read_only_fields = fields


class GrantSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    title = serializers.CharField()
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=PERMS))


class MeSerializer(serializers.Serializer[Any]):
    """Who is asking, and what may be done where with the credential in use."""

    user = MeUserSerializer()
    token = MeTokenSerializer(allow_null=True, help_text="Null for a signed-in browser.")
    workspaces = GrantSerializer(many=True)


class ActivitySerializer(serializers.ModelSerializer[LogEntry]):
    """One change of one row."""

    id = serializers.IntegerField(read_only=True)
    at = serializers.DateTimeField(source="timestamp", read_only=True)
    by = serializers.SerializerMethodField()
    token_id = serializers.SerializerMethodField()
    workspace_id = serializers.SerializerMethodField()
    action = serializers.SerializerMethodField()
    kind = serializers.CharField(source="content_type.model", read_only=True)
    row_id = serializers.CharField(source="object_pk", read_only=True)
    row = serializers.CharField(source="object_repr", read_only=True)
    changes = serializers.SerializerMethodField()

    class Meta:
        model = LogEntry
        fields = (
            "id", "at", "by", "token_id", "workspace_id", "action", "kind", "row_id", "row",
            "changes",
        )  # fmt: skip
        read_only_fields = fields

    def get_by(self, entry: LogEntry) -> str | None:
        by: str | None = (entry.additional_data or {}).get("by")
        return by or (None if entry.actor is None else str(entry.actor))

    def get_token_id(self, entry: LogEntry) -> str | None:
        return (entry.additional_data or {}).get("token")

    def get_workspace_id(self, entry: LogEntry) -> str | None:
        return (entry.additional_data or {}).get("workspace")

    def get_action(self, entry: LogEntry) -> str:
        return str(entry.get_action_display())

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_changes(self, entry: LogEntry) -> dict[str, Any]:
        return dict(entry.changes_dict)


class AuditActorSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField(allow_blank=True)
    token = serializers.UUIDField(allow_null=True)


class AuditSubjectSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    id = serializers.CharField(allow_blank=True)
    label: Any = serializers.CharField(allow_blank=True)


class AuditEntrySerializer(serializers.Serializer[Any]):
    """One entry of an audit chain: everything its hash is over, and the hash."""

    id = serializers.UUIDField()
    chain = serializers.CharField(help_text="A workspace's id, or `site`.")
    sequence = serializers.IntegerField()
    at = serializers.CharField(help_text="UTC, with six digits of a second.")
    actor = AuditActorSerializer()
    action = serializers.ChoiceField(choices=[action.value for action in AuditAction])
    subject = AuditSubjectSerializer()
    payload = serializers.DictField()
    payload_hidden = serializers.BooleanField(
        help_text="Whether words about calls are left out of `payload`, which the hash is over."
    )
    format = serializers.IntegerField()
    previous_hash = serializers.CharField()
    hash = serializers.CharField()


class AuditCheckpointSerializer(serializers.Serializer[Any]):
    """The site's signature under a chain as it was at one entry."""

    chain = serializers.CharField(help_text="A workspace's id, or `site`.")
    sequence = serializers.IntegerField()
    hash = serializers.CharField()
    at = serializers.CharField(help_text="UTC, with six digits of a second.")
    key_id = serializers.CharField()
    format = serializers.IntegerField()
    signature = serializers.CharField(help_text="Ed25519, hexadecimal.")


class AuditKeySerializer(serializers.Serializer[Any]):
    """The public half of the key that signs checkpoints and exports."""

    key_id = serializers.CharField()
    algorithm = serializers.CharField()
    public_key = serializers.CharField(help_text="PEM.")


class AuditSpan(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
