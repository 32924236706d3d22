"""The OpenAPI document of governance says what the views do."""

from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema


@pytest.fixture(scope="module")
def document() -> Any:
    GENERATOR_STATS.reset()
    generator = SchemaGenerator(urlconf="tests.integration.governance.urls")  # type: ignore[no-untyped-call]
    return generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


def test_it_is_valid_and_without_a_warning(document: Any) -> None:
    validate_schema(document)  # type: ignore[no-untyped-call]
    assert dict(GENERATOR_STATS._warn_cache) == {}
    assert dict(GENERATOR_STATS._error_cache) == {}


SIGNED: tuple[Any, ...] = ([{"webhook": []}], [{"slack": []}])


def test_every_answer_may_be_a_problem(document: Any) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            expected = {"400", "401", "403", "404"}
            if method != "get":
                expected |= {"409", "412", "413", "415"}
            assert expected <= set(operation["responses"]), (method, path)
            for status in expected:
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"]
            if operation["security"] in SIGNED:
                continue  # the message itself proves who sent it
            assert {"token": []} in operation["security"]
            assert {"session": []} in operation["security"]


def test_input_and_output_are_their_own_shapes(document: Any) -> None:
    create = document["paths"]["/api/v1/tokens"]["post"]
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].endswith("/TokenInputRequest")
    answer = create["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer["$ref"].endswith("/IssuedToken")
    listing = document["paths"]["/api/v1/workspaces"]["get"]
    names = {parameter["name"] for parameter in listing["parameters"]}
    assert names == {"cursor", "limit"}
    headers = {
        parameter["name"]
        for parameter in document["paths"]["/api/v1/workspaces/{workspace}"]["patch"]["parameters"]
    }
    assert headers == {"workspace", "Idempotency-Key", "If-Match"}
