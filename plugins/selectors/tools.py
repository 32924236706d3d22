"""Reading declared tools."""

from uuid import UUID

from django.db.models import QuerySet

from plugins.models import ToolDefinition


def declared_tools(workspace_id: UUID) -> QuerySet[ToolDefinition]:
    """The tools of a workspace that runs may be started with."""
    return ToolDefinition.objects.filter(workspace_id=workspace_id, is_enabled=True)
