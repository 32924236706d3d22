from collections.abc import Iterator

import pytest
from django.db import connection

from agents.journal.journal import Journal
from governance.models import Workspace
from tests.conformance.journal.kit import Heads, make_writer
from tests.factories.governance import make_workspace


@pytest.fixture
def heads() -> Heads:
    """What the journal announced."""
    return Heads()


@pytest.fixture
def journal(transactional_db: None, heads: Heads) -> Iterator[Journal]:
    """A journal on the test database with that database's writer."""
    journal = Journal(make_writer(), on_commit=heads.extend)
    yield journal
    journal.close()
    connection.close()


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")
