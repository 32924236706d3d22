"""`agentry audit`: what it sends, writes and prints; checking needs no server and no Django."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agentry.contract_server import BASE, Answer, ContractServer, problem
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")

ROOT = Path(__file__).resolve().parents[3]
ENTRY = {
    "sequence": 3, "at": "2026-11-22T08:00:00.000000Z", "action": "decision",
    "actor": {"id": None, "name": "ann", "token": None},
    "subject": {"kind": "tool_call", "id": "1", "label": "charge"},
    "payload": {"outcome": "failed"},
}  # fmt: skip


def test_entries_are_listed(server: ContractServer) -> None:
    server.always(f"GET {BASE}/audit", {"items": [ENTRY], "next_cursor": None})
    server.always("GET /api/v1/audit", {"items": [], "next_cursor": None})

    listed = invoke("audit", "ls")

    assert "tool_call charge" in listed.stdout
    assert "ann" in listed.stdout
    assert "Nothing found." in invoke("audit", "ls", "--site").stderr


def test_an_export_is_written_as_it_comes(server: ContractServer, tmp_path: Path) -> None:
    server.always(f"GET {BASE}/audit/export", {"type": "header"})
    file = tmp_path / "audit.jsonl"

    done = invoke("audit", "export", str(file), "--since", "2026-11-22T08:00:00+00:00")

    assert done.exit_code == 0, done.output
    assert file.read_bytes() == b'{"type": "header"}'
    assert server.seen[0].query == {"since": "2026-11-22T08:00:00+00:00"}
    assert invoke("audit", "export", "-").stdout == '{"type": "header"}'


def test_what_is_refused_leaves_no_file(server: ContractServer, tmp_path: Path) -> None:
    server.will(f"GET {BASE}/audit/export", problem(403, "permission_denied", "No."))
    file = tmp_path / "audit.jsonl"

    assert invoke("audit", "export", str(file)).exit_code == 3
    assert not file.exists()
    server.always(f"GET {BASE}/audit/export", {})
    assert invoke("audit", "export", str(tmp_path / "no" / "where")).exit_code == 2


def test_a_signature_and_the_key_are_shown(server: ContractServer) -> None:
    server.will(f"POST {BASE}/audit/checkpoints", Answer(201, {"sequence": 9, "hash": "ab"}))
    server.always("GET /api/v1/audit/key", {"key_id": "ab", "public_key": "-----BEGIN-----\n"})

    assert "9" in invoke("audit", "checkpoint").stdout
    assert invoke("audit", "key").stdout == "-----BEGIN-----\n"


@pytest.mark.parametrize(
    ("file", "key", "code", "words"),
    [
        ("there", "none", 2, "cannot be read"),
        ("there", "there", 2, "not an Ed25519 public key"),
        ("none", "good", 2, "cannot be read"),
        ("there", "good", 1, "cannot be read"),
        ("empty", "good", 1, "the file is empty"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, file: str, key: str, code: int, words: str
) -> None:
    (tmp_path / "there").write_text("something else\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "good").write_text(
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        "-----END PUBLIC KEY-----\n"
    )

    done = invoke("audit", "verify", str(tmp_path / file), "--key", str(tmp_path / key))

    assert done.exit_code == code, done.output
    assert words in done.output


def test_checking_loads_no_server(tmp_path: Path) -> None:
    program = (
        "import agentry.audit.verifying, agentry.audit.documents, sys\n"
        "unwanted = {'django', 'governance', 'core', 'rest_framework', 'httpx2'}\n"
        "print(sorted(unwanted & set(sys.modules)))"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
