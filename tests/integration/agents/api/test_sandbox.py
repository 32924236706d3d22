"""What the sandboxes of the site can hold, asked over REST."""

from pathlib import Path

import pytest

from sandbox import services
from sandbox.contracts import Isolation, Limit
from sandbox.remote import RemoteSandboxes, at
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs


def test_the_doctor_tells_of_every_engine_best_first(cast: Cast, call_as: CallAs) -> None:
    answer = call_as("operator")("get", "sandbox/doctor")

    engines = {engine["name"]: engine for engine in answer.json()["items"]}
    assert engines.keys() == set(Isolation) - {Isolation.SITE, Isolation.DISABLED}
    assert engines["bubblewrap"]["is_available"]
    held = engines["bubblewrap"]["holds"]
    assert set(held) | engines["bubblewrap"]["missing"].keys() == set(Limit)
    for engine in engines.values():
        assert engine["is_available"] != bool(engine["problem"])
        assert bool(engine["problem"]) == bool(engine["remedy"])
    available = [engine["is_available"] for engine in answer.json()["items"]]
    assert available == sorted(available, reverse=True)


def test_without_a_worker_the_reason_is_told(
    cast: Cast, call_as: CallAs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = tmp_path / "none.sock"
    monkeypatch.setattr(services, "_access", RemoteSandboxes(at(socket), lambda: socket))

    answer = call_as("admin")("get", "sandbox/doctor")

    assert answer.status_code == 503
    assert answer.json()["code"] == "sandbox_unavailable"
    assert "No sandbox worker answers at" in answer.json()["detail"]
    assert "manage.py sandbox worker" in answer.json()["remedy"]


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor"])
def test_who_only_looks_on_is_refused(cast: Cast, call_as: CallAs, role: str) -> None:
    answer = call_as(role)("get", "sandbox/doctor")

    assert answer.status_code == 403
    assert answer.json()["context"]["permission"] == "run.control"
