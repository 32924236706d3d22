"""What is wrong with an invocation is said in the same plain words by the lane and by Django."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from agents.lane.request import read
from agents.models import Run
from core.api.serializers import NOT_AN_OBJECT
from core.errors import InvalidInputError
from tests.factories.governance import Cast

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("body", [b'{"input": ""}', b'{"input": " \\n"}'])
def test_the_lane_says_that_an_input_is_empty(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"^The input is empty\. Say what"):
        read(body)


@pytest.mark.parametrize("body", [b"[]", b'"go"', b"7"])
def test_the_lane_says_that_a_body_is_an_object(body: bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read(body)

    assert refused.value.fields == {"body": [NOT_AN_OBJECT]}
    assert "Expected" not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], {"": [NOT_AN_OBJECT]}),
        (
            {"agent": "helper", "input": ""},
            {"input": ["The input is empty; say what the agent shall do."]},
        ),
    ],
)
def test_django_says_so_too(cast: Cast, body: Any, errors: dict[str, list[str]]) -> None:
    client = APIClient(headers={"authorization": f"Bearer {cast.token('operator')}"})

    answer = client.post("/api/v1/workspaces/acme/runs", body, format="json")

    assert answer.status_code == 400
    assert answer.json()["errors"] == errors
    assert Run.objects.count() == 0
