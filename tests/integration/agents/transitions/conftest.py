import pytest

from governance.models import Workspace
from tests.factories.governance import make_workspace


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace("acme")
