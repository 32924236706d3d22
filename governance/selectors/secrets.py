"""Secrets: their names and versions. Values are no business of a selector."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from governance import access
from governance.contracts import Actor, Perm
from governance.models import Secret, Workspace


def secret_list(actor: Actor, workspace: Workspace) -> QuerySet[Secret]:
    """Return a workspace's secrets by name."""
    rows = Secret.objects.select_related("updated_by").filter(workspace=workspace)
    return access.scope(actor, Perm.SECRET_VIEW, rows)


def secret_names(workspace_id: UUID) -> frozenset[str]:
    """Return the names there are, for services that ask access themselves."""
    rows = Secret.objects.filter(workspace_id=workspace_id)
    return frozenset(rows.values_list("name", flat=True))


def secret_versions(workspace_id: UUID, names: Collection[str]) -> dict[str, str]:
    """Return which value each of these has now, as text that another value does not have."""
    rows = Secret.objects.filter(workspace_id=workspace_id, name__in=names)
    return {name: f"{pk} {version}" for name, pk, version in rows.values_list(
        "name", "pk", "version"
    )}  # fmt: skip
