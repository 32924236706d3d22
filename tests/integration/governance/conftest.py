from typing import Any

import pytest
from rest_framework.test import APIClient

from governance.models import User
from tests.factories.governance import Cast


class Caller:
    """A REST client that speaks JSON as one credential."""

    def __init__(self, secret: str = "", user: User | None = None) -> None:
        self.client = APIClient(raise_request_exception=False)
        if user is not None:
            self.client.force_login(user)
        if secret:
            self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        options: dict[str, Any] = {} if body is None else {"data": body, "format": "json"}
        return getattr(self.client, method)(f"/api/v1/{path}", headers=headers, **options)


@pytest.fixture
def call_as(cast: Cast) -> Any:
    """Return a caller for one of the cast, with a fresh token (narrowed by the options)."""

    def make(name: str, **options: Any) -> Caller:
        return Caller(cast.token(name, **options))

    return make
