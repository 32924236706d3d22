from collections.abc import Callable

import pytest
from django.test import Client

from governance.models import User
from tests.factories.governance import Cast

Browser = Callable[[str], Client]


@pytest.fixture
def browse(cast: Cast) -> Browser:
    """Return a client signed in as one of the cast, who is let into the console."""

    def make(name: str) -> Client:
        User.objects.filter(username=name).update(is_staff=True)
        client = Client()
        client.force_login(User.objects.get(username=name))
        return client

    return make
