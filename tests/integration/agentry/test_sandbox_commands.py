"""The doctor of sandboxes: what engines hold, and what is missing."""

import json
from typing import Any

import pytest

from tests.integration.agentry.contract_server import BASE, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")


def _engine(name: str, *, problem: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "is_available": not problem,
        "strength": "none" if problem else "namespaces",
        "holds": [] if problem else ["cpu", "pids"],
        "missing": {} if problem else {"net": "no gateway"},
        "problem": problem,
        "remedy": "Install it." if problem else "",
    }


def test_the_sandbox_doctor_tells_what_engines_hold(server: ContractServer) -> None:
    engines = [_engine("bubblewrap"), _engine("docker", problem="There is no daemon.")]
    server.always(f"GET {BASE}/sandbox/doctor", {"items": engines, "next_cursor": None})

    words = invoke("sandbox", "doctor")
    as_json = invoke("sandbox", "doctor", "-o", "json")

    assert words.exit_code == 0
    assert words.stdout.splitlines() == [
        "bubblewrap: available, isolates by namespaces",
        "  holds: cpu, pids",
        "  not net: no gateway",
        "docker: not available",
        "  There is no daemon.",
        "  Install it.",
    ]
    assert json.loads(as_json.stdout) == engines


def test_a_server_without_any_engine_ends_the_doctor_with_1(server: ContractServer) -> None:
    engines = [_engine("docker", problem="There is no daemon.")]
    server.always(f"GET {BASE}/sandbox/doctor", {"items": engines, "next_cursor": None})

    assert invoke("sandbox", "doctor").exit_code == 1
