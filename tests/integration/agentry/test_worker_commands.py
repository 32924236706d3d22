"""`agentry workers`: who there is, and taking one out of work."""

import pytest

from tests.integration.agentry.contract_server import BASE, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")

ONE, TWO = "0199-one", "0199-two"


def row(worker: str, name: str, state: str = "serving", **more: object) -> dict[str, object]:
    return {
        "id": worker, "name": name, "state": state, "is_alive": state != "silent", "running": 2,
        "capacity": 9, "version": "1.0", "drain_asked_at": None, **more,
    }  # fmt: skip


@pytest.fixture
def workers(server: ContractServer) -> ContractServer:
    rows = [row(ONE, "h1:7"), row(TWO, "h2:8"), row("0198-old", "h2:8", "silent")]
    server.always(f"GET {BASE}/workers", {"items": rows})
    asked = row(ONE, "h1:7", "asked", drain_asked_at="2026-01-01T00:00:00Z")
    server.always(f"POST /api/v1/workers/{ONE}/drain", asked)
    server.always(f"DELETE /api/v1/workers/{ONE}/drain", row(ONE, "h1:7", "drained"))
    return server


def deeds(server: ContractServer) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in server.seen if seen.method != "GET"]


def test_workers_are_listed_with_their_state(workers: ContractServer) -> None:
    lines = invoke("workers", "ls").stdout.splitlines()

    assert lines[1].split()[:4] == [ONE, "h1:7", "serving", "2/9"]
    assert lines[3].split()[2] == "silent"


@pytest.mark.parametrize("word", [ONE, "one", "h1:7"])
def test_a_worker_is_drained_by_id_end_of_id_or_name(workers: ContractServer, word: str) -> None:
    result = invoke("workers", "drain", word, "--yes")

    assert (result.exit_code, deeds(workers)) == (0, [f"POST /api/v1/workers/{ONE}/drain"])
    assert result.stdout.startswith("h1:7 is asked to drain")


def test_it_asks_first(workers: ContractServer) -> None:
    refused = invoke("workers", "drain", "one", stdin="n\n")
    agreed = invoke("workers", "drain", "one", stdin="y\n")

    assert "Drain h1:7 with its 2 runs?" in refused.stderr
    assert "No other worker" not in refused.stderr
    assert (refused.exit_code, agreed.exit_code, len(deeds(workers))) == (2, 0, 1)


def test_the_last_one_that_serves_is_told(server: ContractServer) -> None:
    server.always(f"GET {BASE}/workers", {"items": [row(ONE, "h1:7"), row(TWO, "x", "drained")]})

    assert "No other worker takes runs" in invoke("workers", "drain", "one", stdin="n\n").stderr


def test_a_drain_is_taken_back(workers: ContractServer) -> None:
    result = invoke("workers", "drain", "one", "--undo")

    assert deeds(workers) == [f"DELETE /api/v1/workers/{ONE}/drain"]
    assert result.stdout == "h1:7 takes runs again within seconds: 2 of 9 runs.\n"


def test_a_name_that_says_too_little_or_nothing_is_refused(server: ContractServer) -> None:
    rows = [row(ONE, "same"), row(TWO, "same")]
    server.always(f"GET {BASE}/workers", {"items": rows})

    both = invoke("workers", "drain", "same", "--yes")
    none = invoke("workers", "drain", "other", "--yes")

    assert (both.exit_code, none.exit_code, deeds(server)) == (2, 4, [])
    assert "2 workers are called 'same'" in both.stderr


def test_of_a_name_the_living_one_is_meant(workers: ContractServer) -> None:
    workers.always(f"POST /api/v1/workers/{TWO}/drain", row(TWO, "h2:8", "asked"))

    assert invoke("workers", "drain", "h2:8", "--yes").exit_code == 0
    assert deeds(workers) == [f"POST /api/v1/workers/{TWO}/drain"]
