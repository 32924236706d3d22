"""What the files of a tree of runs are, as the database has it."""

from uuid import UUID

from agents.models import WorkspaceHead


def workspace_head(root_id: UUID) -> str:
    """Return the digest of the last snapshot that was committed; empty when there is none."""
    found = WorkspaceHead.objects.filter(pk=root_id).values_list("digest", flat=True).first()
    return found or ""
