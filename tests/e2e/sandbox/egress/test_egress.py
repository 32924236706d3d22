"""Every known way past an allow-list is tried from a real sandbox; the internet's log decides.

The internet is a network namespace of this machine, so nothing leaves it. The same probes go
through where there is a network and a proxy that asks nothing, which shows that they bite.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.architecture.source import ROOT
from tests.e2e.sandbox.egress import plan, probe

SECONDS = 110


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of each probe, in the sandbox and in the control."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces and their links are made by root")
    folder = tmp_path_factory.mktemp("stage")
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private",
         sys.executable, "-m", "tests.e2e.sandbox.egress.play", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def forbidden(seen: list[dict[str, str]]) -> list[dict[str, str]]:
    return [entry for entry in seen if not plan.is_allowed(entry)]


def test_there_are_enough_probes() -> None:
    assert len(probe.REFUSED) >= 30


@pytest.mark.parametrize("name", probe.REFUSED)
def test_nothing_but_what_is_listed_appears(name: str, played: dict[str, Any]) -> None:
    came = played["sandbox"][name]

    assert forbidden(came["seen"]) == []
    assert came["words"].startswith(("refused:", "REACHED")), came["words"]
    if name != "second_request_behind_the_first":  # its first one is answered
        assert came["words"].startswith("refused:")
    reasons = [reason for _, _, is_allowed, reason in came["connections"] if not is_allowed]
    assert all(reasons)


@pytest.mark.parametrize("name", probe.REFUSED)
def test_a_probe_bites_where_nothing_stops_it(name: str, played: dict[str, Any]) -> None:
    came = played["control"][name]

    assert forbidden(came["seen"]), came["words"]


@pytest.mark.parametrize("name", probe.ALLOWED_ONES)
def test_what_is_listed_is_reached_and_recorded(name: str, played: dict[str, Any]) -> None:
    came = played["sandbox"][name]

    assert came["words"].startswith("REACHED"), came["words"]
    assert forbidden(came["seen"]) == []
    assert [(is_allowed, reason) for _, _, is_allowed, reason in came["connections"]] == [
        (True, "")
    ]


def test_a_refused_attempt_by_the_gateway_is_recorded(played: dict[str, Any]) -> None:
    unrecorded = [
        name
        for name, came in played["sandbox"].items()
        if name != "search"
        and not name.startswith(("direct", "service_on", "datagram", "question"))
        and not came["connections"]
    ]

    assert unrecorded == []


def test_the_credential_goes_to_its_host_alone_and_never_inside(played: dict[str, Any]) -> None:
    with_secret = [
        entry
        for name, came in played["sandbox"].items()
        if name != "search"
        for entry in came["seen"]
        if plan.SECRET in entry.get("head", "")
    ]
    inside = played["sandbox"]["search"] + "".join(
        came["words"] for name, came in played["sandbox"].items() if name != "search"
    )

    assert {entry["host"] for entry in with_secret} == {"bound.test"}
    assert {entry["at"] for entry in with_secret} == {f"{plan.ALLOWED}:80", f"{plan.ALLOWED}:443"}
    assert plan.SECRET.split()[1] not in inside
    assert "BEGIN CERTIFICATE" in inside, "the search has seen the gateway's files"
