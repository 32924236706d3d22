"""`manage.py sandbox` says what this host can hold, for people and for programs."""

import json

import pytest
from django.core.management import call_command

from sandbox.contracts import Isolation
from tests.privileges import needs_root


@needs_root
def test_the_doctor_tells_what_each_engine_can_hold(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sandbox", "doctor")

    told = capsys.readouterr().out
    assert "bubblewrap: available, isolates by namespaces\n  holds: cpu, disk_bytes" in told
    assert "not net: " in told
    assert "microvm: not available\n" in told


def test_programs_are_told_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sandbox", "doctor", "--json")

    told = json.loads(capsys.readouterr().out)
    assert {engine["name"] for engine in told} == set(Isolation) - {
        Isolation.SITE,
        Isolation.DISABLED,
    }


def test_reaping_with_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sandbox", "reap", "--json")

    assert isinstance(json.loads(capsys.readouterr().out), list)
