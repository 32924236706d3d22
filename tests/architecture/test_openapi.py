"""The API's description is complete, valid, and the one that is committed."""

import json
import re
from typing import Any

import pytest

from agentry_site.api import openapi_document
from tests.architecture.routes import http_routes
from tests.architecture.source import ROOT

COMMITTED = ROOT / "docs" / "reference" / "openapi.json"
_METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(openapi_document())
    return document


def _operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    }


def test_the_committed_description_is_what_the_code_says(described: dict[str, Any]) -> None:
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))

    assert committed == described, "Run `make openapi` and commit the result."


def test_every_rest_route_is_described(described: dict[str, Any]) -> None:
    def plain(path: str) -> str:
        return re.sub(r"<(?:\w+:)?\w+>|\{\w+\}", "*", path)

    known = {(plain(path), method) for path, ops in described["paths"].items() for method in ops}
    routes = {
        (plain(route.path), method)
        for route in http_routes()
        if getattr(route.view_class, "perms", None)
        for method in route.actions
        if method in _METHODS
    }

    assert routes - known == set()
    assert len(routes) > 80


def test_every_operation_says_how_it_can_fail(described: dict[str, Any]) -> None:
    silent = {
        name: sorted({"400", "401", "403", "404"} - set(operation["responses"]))
        for name, operation in _operations(described).items()
        if {"400", "401", "403", "404"} - set(operation["responses"])
    }

    assert silent == {}


def test_every_problem_is_a_problem_document(described: dict[str, Any]) -> None:
    wrong = [
        f"{name} {status}"
        for name, operation in _operations(described).items()
        for status, answer in operation["responses"].items()
        if int(status) >= 400 and set(answer["content"]) != {"application/problem+json"}
    ]

    assert wrong == []


def test_operations_have_names_of_their_own(described: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in _operations(described).values()]

    assert len(names) == len(set(names))
    assert described["openapi"].startswith("3.1")
