from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from governance.access import clear_credentials, permission_cache
from governance.models import User
from tests.factories.governance import Cast, make_cast

Browser = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _forget_everything() -> Iterator[None]:
    permission_cache.clear()
    clear_credentials()
    yield
    permission_cache.clear()
    clear_credentials()


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def browse(cast: Cast) -> Browser:
    """Return a client signed in as one of the cast, who is let into the console."""

    def make(name: str) -> Client:
        User.objects.filter(username=name).update(is_staff=True)
        client = Client()
        client.force_login(User.objects.get(username=name))
        return client

    return make
