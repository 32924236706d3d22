"""Callers of the whole site's API."""

from typing import Any, Protocol

import pytest
from rest_framework.test import APIClient

from tests.factories.governance import Cast


class Caller:
    """A REST client that speaks JSON as one credential, inside one workspace."""

    def __init__(self, secret: str, workspace: str) -> None:
        self.client = APIClient(raise_request_exception=False)
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        self.workspace = workspace

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        place = path if path.startswith("/") else f"/api/v1/workspaces/{self.workspace}/{path}"
        options: dict[str, Any] = {} if body is None else {"data": body, "format": "json"}
        return getattr(self.client, method)(place, headers=headers, **options)


class CallAs(Protocol):
    def __call__(self, name: str, **options: Any) -> Caller: ...


@pytest.fixture
def call_as(cast: Cast) -> CallAs:
    """Return a caller for one of the cast, with a fresh token (narrowed by the options)."""

    def make(name: str, **options: Any) -> Caller:
        return Caller(cast.token(name, **options), "acme")

    return make
