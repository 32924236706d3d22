from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate  # noqa: TID251 - Django's own wiring


class GovernanceConfig(AppConfig):
    name = "governance"
    verbose_name = "Governance"

    def ready(self) -> None:
        from core.events import subscribe
        from governance import subscribers
        from governance.access import AccessChanged, forget_credentials, permission_cache
        from governance.models import (
            ApiToken,
            Budget,
            Channel,
            Membership,
            Policy,
            PolicyVersion,
            Role,
            Secret,
            User,
            Workspace,
        )
        from governance.registry import SealedColumn, sealed_column_register
        from governance.selectors.channels import SECRET_PURPOSE
        from governance.services.activity import activity_register
        from governance.services.secrets import PURPOSE

        post_migrate.connect(_sync_roles, sender=self, dispatch_uid="governance.roles")
        subscribe(AccessChanged, forget_credentials)
        subscribe(AccessChanged, permission_cache.forget)
        subscribers.join()

        activity_register(Workspace, workspace="pk", exclude=["created_at", "secrets_stamp"])
        activity_register(Membership, workspace="workspace_id", many_to_many=["roles"])
        activity_register(Role, workspace="workspace_id")
        activity_register(ApiToken, workspace="workspace_id", exclude=["digest", "last_used_at"])
        activity_register(
            Channel, workspace="workspace_id", exclude=["updated_at", "sealed_secret"]
        )
        activity_register(Budget, workspace="workspace_id", exclude=["created_at", "updated_at"])
        activity_register(Policy, workspace="workspace_id", exclude=["updated_at"])
        activity_register(PolicyVersion, workspace="workspace_id", exclude=["published_at"])
        activity_register(
            Secret,
            workspace="workspace_id",
            exclude=["sealed_value", "updated_at", "used_at", "updated_by"],
        )
        sealed_column_register(
            SealedColumn(
                model=Secret,
                column="sealed_value",
                purpose=PURPOSE,
                name=lambda row: str(row.name),
            )
        )
        sealed_column_register(
            SealedColumn(
                model=Channel,
                column="sealed_secret",
                purpose=SECRET_PURPOSE,
                name=lambda row: str(row.pk),
            )
        )
        activity_register(User, workspace=None, exclude=["last_login"], mask=["password"])


def _sync_roles(**_: Any) -> None:
    from governance.services.roles import builtin_roles_sync

    builtin_roles_sync()
