"""Documents as they are sent to `apply`, and what came of sending them."""

from typing import Any

from tests.integration.agents.api.conftest import Caller


def document(kind: str, name: str, spec: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {
        "apiVersion": "agentry/v1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


def change(caller: Caller, sent: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    """Apply one document; return what became of it."""
    answer = caller("post", "apply", {"documents": [sent], "dry_run": dry_run})
    assert answer.status_code == 200, answer.json()
    (found,) = answer.json()["changes"]
    return dict(found)


def mistakes(caller: Caller, *sent: dict[str, Any]) -> dict[str, list[str]]:
    """Apply documents that are refused; return the sentences by their places."""
    answer = caller("post", "apply", {"documents": list(sent)})
    assert answer.status_code == 400, answer.json()
    return dict(answer.json()["errors"])


def paths(found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {each["path"]: (each["before"], each["after"]) for each in found["diff"]}
