"""Which requests the lean way in answers itself, and which it leaves to Django."""

import pytest

from agents.lane.lane import InvokeLane

PATH = "/api/v1/workspaces/acme/agents/helper/invoke"
TOKEN = (b"authorization", b"Bearer agk_x")


def scope(
    *headers: tuple[bytes, bytes], method: str = "POST", path: str = PATH
) -> dict[str, object]:
    return {"type": "http", "method": method, "path": path, "headers": list(headers)}


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"application/json; charset=utf-8", b"Application/JSON ;x=y"],
)
def test_a_call_in_json_with_a_token_is_taken(content_type: bytes) -> None:
    assert InvokeLane.takes(scope(TOKEN, (b"content-type", content_type)))


@pytest.mark.parametrize(
    "content_type",
    [b"", b"text/plain", b"application/jsonp", b"application/json-seq", b"application/xml"],
)
def test_a_body_that_is_not_json_is_left_to_django(content_type: bytes) -> None:
    assert not InvokeLane.takes(scope(TOKEN, (b"content-type", content_type)))


def test_no_type_two_types_and_no_token_are_left_to_django() -> None:
    json = (b"content-type", b"application/json")

    assert not InvokeLane.takes(scope(TOKEN))
    assert not InvokeLane.takes(scope(TOKEN, json, (b"content-type", b"text/plain")))
    assert not InvokeLane.takes(scope(json))


def test_other_methods_and_paths_are_left_to_django() -> None:
    json = (b"content-type", b"application/json")

    assert not InvokeLane.takes(scope(TOKEN, json, method="GET"))
    assert not InvokeLane.takes(scope(TOKEN, json, path=PATH.replace("/invoke", "/versions")))
    assert not InvokeLane.takes(scope(TOKEN, json, path="/invoke"))
