from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async

from agents.lane.lane import InvokeLane
from governance.access import clear_credentials, permission_cache
from tests.factories.agents import make_agent
from tests.factories.governance import Cast, make_cast


@pytest.fixture
async def cast(transactional_db: None) -> AsyncIterator[Cast]:
    """Everybody who may or may not invoke the agent `helper` of `acme`."""

    def make() -> Cast:
        permission_cache.clear()
        clear_credentials()
        made = make_cast()
        make_agent(made.acme)
        return made

    yield await sync_to_async(make)()
    permission_cache.clear()
    clear_credentials()


@pytest.fixture
async def lane(cast: Cast) -> AsyncIterator[InvokeLane]:
    """A lane of its own, closed before the tables are emptied."""
    lane = InvokeLane()
    yield lane
    await lane.aclose()
