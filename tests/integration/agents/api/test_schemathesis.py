"""The OpenAPI document against the site: no 5xx, and no answer that is not in the document."""

import json
import os
import re
from typing import Any

import hypothesis
import pytest
import requests  # noqa: TID251 - how a case is put on the wire
import schemathesis
from django.db import transaction
from django.test import Client
from schemathesis import Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agentry_site.api import openapi_document
from governance.access import clear_credentials, permission_cache
from tests.factories.agents import Tenancy, make_tenancy
from tests.factories.governance import issue, join, make_workspace

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))
# The answer to a stream goes on as long as its run does; the live tests read those.
_STREAM = re.compile(r"/events/stream$")
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def tenancy(db: None) -> Tenancy:
    return make_tenancy(make_workspace("acme"), "acme")


@pytest.fixture
def headers(tenancy: Tenancy) -> dict[str, str]:
    admin = join(tenancy.workspace, "admin", "admin").user
    secret = issue(admin, workspace=tenancy.workspace).secret
    return {"Authorization": f"Bearer {secret}"}


def _there(tenancy: Tenancy, path: str, name: str) -> str | None:
    """Return the value of a path parameter under which there is something."""
    if name == "workspace":
        return "acme"
    if name == "number":
        return "1"
    before = re.search(rf"([^/]+)/\{{{name}\}}", path)
    found = {
        "agents": tenancy.agent.name,
        "providers": tenancy.provider.name,
        "models": tenancy.model.name,
        "tools": tenancy.tool.name,
        "routes": str(tenancy.route.pk),
        "sessions": str(tenancy.session.pk),
        "runs": str(tenancy.run.pk),
        "tool-calls": str(tenancy.call.pk),
    }
    return found.get(before[1]) if before else None


def _operations() -> list[Any]:
    schema: Any = schemathesis.openapi.from_dict(json.loads(openapi_document()))
    return [result.ok() for result in schema.get_all_operations()]


class _Undone(Exception):  # noqa: N818 - not an error: ends the savepoint of one example
    """Takes back what an example has done, so that the next one finds everything there."""


@pytest.mark.timeout(600)
def test_every_operation_answers_as_documented(tenancy: Tenancy, headers: dict[str, str]) -> None:
    failures, tried = [], 0
    for operation in _operations():
        if _STREAM.search(operation.path):
            continue
        failures += _failures(operation, tenancy, headers)
        tried += 1

    assert failures == []
    assert tried > 60


def _failures(operation: Any, tenancy: Tenancy, headers: dict[str, str]) -> list[str]:
    @hypothesis.given(case=operation.as_strategy(), is_there=hypothesis.strategies.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    def example(case: Any, is_there: bool) -> None:
        if is_there or "workspace" in (case.path_parameters or {}):
            for name in case.path_parameters or {}:
                known = _there(tenancy, operation.path, name)
                if known is not None and (is_there or name == "workspace"):
                    case.path_parameters[name] = known
        if isinstance(case.body, dict):
            case.body.pop("wait", None)  # nothing would end the runs
        try:
            with transaction.atomic():
                case.validate_response(_answer(case, headers), checks=_CHECKS)
                raise _Undone
        except _Undone:
            permission_cache.clear()
            clear_credentials()

    try:
        example()
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - each is told at the end
        return [f"{operation.label}: {_told(error)}"]
    return []


def _answer(case: Any, headers: dict[str, str]) -> Response:
    """Send a case through Django's own test client: same thread, same transaction."""
    wanted = case.as_transport_kwargs(base_url="http://testserver")
    wanted["headers"] = {**(wanted.get("headers") or {}), **headers}
    fields = ("method", "url", "headers", "params", "json", "data", "cookies")
    request = requests.Request(
        **{name: wanted[name] for name in fields if wanted.get(name) is not None}
    ).prepare()
    body: Any = request.body or b""
    found: Any = Client(raise_request_exception=False).generic(
        str(request.method),
        str(request.path_url),
        body if isinstance(body, bytes) else body.encode(),
        content_type=str(request.headers.get("Content-Type", "application/json")),
        headers={name: str(value) for name, value in request.headers.items()},
    )
    return Response(
        status_code=found.status_code,
        headers={name.lower(): [value] for name, value in found.headers.items()},
        content=b"".join(found.streaming_content) if found.streaming else found.content,
        request=request,
        elapsed=0.0,
        verify=False,
        encoding="utf-8",
    )


def _told(error: BaseException) -> str:
    parts = getattr(error, "exceptions", None)
    if parts:
        return " | ".join(_told(part) for part in parts)
    return f"{type(error).__name__}: {str(error)[:700]}"
