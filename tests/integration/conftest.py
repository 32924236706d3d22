"""What every test of the running site begins with."""

from collections.abc import Iterator

import pytest

from governance.access import clear_credentials, permission_cache
from tests.factories.governance import Cast, make_cast


@pytest.fixture(autouse=True)
def _forget_rights() -> Iterator[None]:
    """What one test has learnt about access is no business of the next."""
    permission_cache.clear()
    clear_credentials()
    yield
    permission_cache.clear()
    clear_credentials()


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()
