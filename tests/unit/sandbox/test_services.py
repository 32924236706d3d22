"""Choosing a runner never falls back to something weaker, and the doctor names every engine."""

from pathlib import Path

import pytest

from core.env import ConfigurationError, Environment
from sandbox.contracts import Isolation, Limit, Profile, Strength
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.runners.bubblewrap import runner as bubblewrap
from sandbox.services import Sandboxes, check_hosts, default_folder
from tests.conformance.sandbox.host import names_in


@pytest.mark.parametrize("name", ["", "bubblewrap"])
def test_the_sites_own_is_bubblewrap(name: str, tmp_path: Path) -> None:
    runner = Sandboxes(tmp_path).runner_for(Profile(isolation=Isolation(name)))

    assert runner.name == Isolation.BUBBLEWRAP


@pytest.mark.parametrize("name", ["docker", "gvisor"])
async def test_without_an_engine_no_container_opens(name: str, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    nowhere = Environment({"AGENTRY_SANDBOX_DOCKER": f"unix://{tmp_path}/no.sock"})
    profile = Profile(isolation=Isolation(name))

    runner = Sandboxes(tmp_path / "places", environment=nowhere).runner_for(profile)
    with pytest.raises(SandboxUnavailableError, match="does not answer at") as refused:
        await runner.open(workspace, profile)

    assert "AGENTRY_SANDBOX_DOCKER" in refused.value.remedy
    assert names_in(workspace) == []


async def test_the_doctor_names_every_engine() -> None:
    told = await Sandboxes().doctor()

    assert {abilities.name for abilities in told} == set(Isolation) - {
        Isolation.SITE,
        Isolation.DISABLED,
    }
    strengths = [list(Strength).index(abilities.strength) for abilities in told]
    assert strengths == sorted(strengths, reverse=True)
    assert Strength.NAMESPACES in {abilities.strength for abilities in told}
    assert all(abilities.is_available or abilities.remedy for abilities in told)


async def test_without_bwrap_nothing_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "_bwrap", lambda: None)
    runner = bubblewrap.BubblewrapRunner(tmp_path / "places")
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    with pytest.raises(SandboxUnavailableError, match="not installed") as refused:
        await runner.open(workspace, Profile())

    assert "apt-get install bubblewrap" in refused.value.remedy


async def test_a_limit_that_cannot_be_held_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bubblewrap, "_missing_limits", lambda: {Limit.MEMORY: "only root may make control groups"}
    )
    runner = bubblewrap.BubblewrapRunner(default_folder())
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    with pytest.raises(SandboxRefusedError, match="memory_bytes cannot be held: only root"):
        await runner.open(workspace, Profile())
    assert names_in(tmp_path) == ["workspace"]


def test_ranges_that_cannot_be_read_are_refused_at_the_start(tmp_path: Path) -> None:
    wrong = Environment({"AGENTRY_SANDBOX_NET_RANGES": "10.20.0.0/16,10.0.0.1/8"})

    with pytest.raises(ConfigurationError, match=r"AGENTRY_SANDBOX_NET_RANGES .*'10\.0\.0\.1/8'"):
        Sandboxes(tmp_path, environment=wrong)


def test_a_list_of_hosts_is_checked_before_it_is_stored() -> None:
    check_hosts(["api.test:443", "*.test:443", "[fd00::5]:5432"])
    with pytest.raises(SandboxRefusedError, match=r"'api\.test' in the list of hosts"):
        check_hosts(["a.test:1", "api.test"])
