"""`agentry runs files`: lists and differences as people read them, hostile names included."""

import pytest

from tests.integration.agentry.contract_server import RUN, RUN_PATH, Answer, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")
ESCAPE = "\x1b]0;owned\x07"


def test_files_at_the_last_checkpoint_are_listed_through_all_pages(server: ContractServer) -> None:
    points = [{"sequence": 1}, {"sequence": 7}]
    server.will(f"GET {RUN_PATH}/checkpoints", Answer(200, {"items": points, "next_cursor": None}))
    path = f"GET {RUN_PATH}/checkpoints/7/files"
    first = {"path": "a", "kind": "file", "mode": "0644", "size_bytes": 3, "digest": "ab" * 32}
    second = {"path": f"b{ESCAPE}", "kind": "link", "mode": "0777", "target": "/etc"}
    server.will(path, Answer(200, {"items": [first], "next_cursor": "1"}))
    server.will(path, Answer(200, {"items": [second], "next_cursor": None}))

    done = invoke("runs", "files", RUN)

    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["0644", "file", "3", "abababababab", "a"]
    assert lines[2].split()[-3:] == ["b", "->", "/etc"]
    assert "\x1b" not in done.stdout


def test_a_difference_is_shown_with_marks(server: ContractServer) -> None:
    found = {
        "since": 2, "checkpoint": 5, "added": ["new"], "changed": ["old"], "removed": ["gone"],
        "is_truncated": True,
    }  # fmt: skip
    server.will(f"GET {RUN_PATH}/checkpoints/5/files/difference", Answer(200, found))

    done = invoke("runs", "files", RUN, "--checkpoint", "5", "--since", "2")

    assert done.stdout.splitlines() == [
        "+ new",
        "~ old",
        "- gone",
        "There are more; these are the first 1,000 of each.",
    ]


def test_a_run_that_has_not_begun_has_no_files(server: ContractServer) -> None:
    server.will(f"GET {RUN_PATH}/checkpoints", Answer(200, {"items": [], "next_cursor": None}))

    done = invoke("runs", "files", RUN)

    assert (done.exit_code, done.stdout) == (4, "")
    assert "no checkpoint yet" in done.stderr
