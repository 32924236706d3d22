"""Publishing a version, which cannot be undone."""

from agents.contracts import VersionState
from agents.models import AgentVersion
from core import clock
from core.errors import StaleStateError
from core.state import StateTable

VERSION_TABLE: StateTable[VersionState] = StateTable(
    name="version",
    states=VersionState,
    initial=VersionState.DRAFT,
    edges={
        VersionState.DRAFT: frozenset({VersionState.PUBLISHED}),
        VersionState.PUBLISHED: frozenset(),
    },
)


def version_to_published(version: AgentVersion) -> None:
    """Publish a draft as it was read: its digest is part of the condition.

    Raises:
        StaleStateError: it is published already, or its content changed since.
    """
    drafts = VERSION_TABLE.sources(VersionState.PUBLISHED)
    changed = AgentVersion.objects.filter(
        pk=version.pk, state__in=[state.value for state in drafts], digest=version.digest
    ).update(state=VersionState.PUBLISHED.value, published_at=clock.now())
    if changed:
        return
    state = AgentVersion.objects.values_list("state", flat=True).get(pk=version.pk)
    if state == VersionState.PUBLISHED.value:
        raise StaleStateError(
            f"Version {version.number} is published already.",
            remedy="Save a new draft to change the agent.",
            detail={"state": state},
        )
    raise StaleStateError(
        f"Version {version.number} was changed while it was being published.",
        remedy="Look at the draft again, then publish it.",
        detail={"state": state},
    )
