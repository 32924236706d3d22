"""Profiles and commands refuse what makes no sense, and a profile has one digest."""

import pytest

from sandbox.contracts import Command, Isolation, Limit, Limits, Profile


def test_a_digest_is_the_same_for_the_same_profile() -> None:
    one = Profile(net=("b.example:443", "a.example:443"))
    other = Profile(net=("a.example:443", "b.example:443", "a.example:443"), limits=Limits())

    assert one.digest() == other.digest()
    assert len(one.digest()) == 64


@pytest.mark.parametrize(
    "other",
    [
        Profile(isolation=Isolation.GVISOR),
        Profile(net=("a.example:443",)),
        Profile(limits=Limits(memory_bytes=None)),
        Profile(limits=Limits(wall_seconds=61)),
    ],
)
def test_a_digest_changes_with_everything_in_it(other: Profile) -> None:
    assert other.digest() != Profile().digest()


def test_no_limit_is_not_asked_for() -> None:
    profile = Profile(limits=Limits(cpu=None, disk_bytes=None), net=("a.example:443",))

    assert profile.asked() == set(Limit) - {Limit.CPU, Limit.DISK}
    assert Limit.NET not in Profile().asked()


@pytest.mark.parametrize("limits", [{"cpu": 0}, {"pids": -1}, {"wall_seconds": 0.0}])
def test_a_limit_of_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Limits(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"argv": ()}, "needs a program"),
        ({"argv": ("",)}, "needs a program"),
        ({"argv": ("a\0b",)}, "NUL"),
        ({"argv": ("a",), "env": {"A": "x\0"}}, "NUL"),
        ({"argv": ("a",), "env": {"A=B": "x"}}, "no `=`"),
        ({"argv": ("a",), "cwd": "/etc"}, "starts inside"),
        ({"argv": ("a",), "cwd": "/workspace/../etc"}, "starts inside"),
        ({"argv": ("a",), "cwd": "/workspaces"}, "starts inside"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(command: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Command(**command)  # type: ignore[arg-type]
