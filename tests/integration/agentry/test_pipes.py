"""A reader that goes away, as in `agentry … | head`, is no failure and no complaint."""

import os
import subprocess
import sys

import pytest

PROGRAM = "from agentry.cli.main import main; main()"
SITE = {
    "AGENTRY_URL": "http://127.0.0.1:9",
    "AGENTRY_TOKEN": "agk_test",
    "AGENTRY_WORKSPACE": "lab",
}


def into_a_closed_pipe(*words: str, is_buffered: bool = True) -> tuple[int, bytes]:
    """Run the program on its own; returns its exit status and what it said beside its data."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    more = {} if is_buffered else {"PYTHONUNBUFFERED": "1"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], env=inherited | SITE | more,
            stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("is_buffered", [True, False])
def test_nothing_is_said_and_all_is_well(is_buffered: bool) -> None:
    assert into_a_closed_pipe("config", is_buffered=is_buffered) == (0, b"")


def test_what_is_no_command_is_quiet_too() -> None:
    assert into_a_closed_pipe("--version") == (0, b"")


def test_a_failure_is_still_one() -> None:
    status, said = into_a_closed_pipe("runs", "ls")

    assert status == 6
    assert b"cannot be reached" in said
    assert b"BrokenPipe" not in said
