"""What `import agentry` gives, and how little it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import agentry
from agentry.cli.documents.reading import KINDS, check, read_paths
from agentry.cli.reference import reference

ROOT = Path(__file__).resolve().parents[3]

PUBLIC = [
    "Agent", "AgentVersion", "AgentryError", "Applied", "AsyncClient", "Change", "Checkpoint",
    "Client", "ConfigurationError", "Conflict", "ConnectionFailed", "Delta", "Event", "Forbidden",
    "InvalidRequest", "Me", "Message", "Model", "NotAuthenticated", "NotFound", "Page", "Provider",
    "RateLimited", "Run", "ServerError", "Session", "Token", "Tool", "ToolCall", "UnexpectedReply",
    "Usage", "WaitTimeout", "Why",
]  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert agentry.__all__ == PUBLIC
    assert dir(agentry) == PUBLIC
    for name in PUBLIC:
        assert getattr(agentry, name).__name__ == name


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = agentry.Nothing


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import agentry", {"httpx2", "msgspec", "typer", "rich", "yaml", "django"}),
        ("import agentry.cli.main", {"httpx2", "rich", "yaml", "django", "asyncio"}),
        ("import agentry.client.synchronous", {"typer", "rich", "yaml", "django"}),
        ("import agentry.cli.live.follow, agentry.cli.legacy.translate", {"django", "agents"}),
    ],
)
def test_heavy_parts_are_loaded_when_needed(statement: str, unwanted: set[str]) -> None:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert unwanted & set(loaded) == set()


def test_the_two_clients_have_the_same_methods() -> None:
    from agentry.client import asynchronous, synchronous

    for name in (
        "Runs",
        "Agents",
        "Versions",
        "Sessions",
        "Providers",
        "Models",
        "Tools",
        "Channels",
        "Deliveries",
    ):
        one, other = getattr(synchronous, name), getattr(asynchronous, name)
        assert {each for each in dir(one) if each[0] != "_"} == {
            each for each in dir(other) if each[0] != "_"
        }


def test_the_reference_is_what_the_commands_say() -> None:
    """To write it anew: python -m agentry.cli.reference > docs/reference/cli.md"""
    written = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")

    assert written == reference()


@pytest.mark.parametrize("name", ["researcher.yaml", "openai.yaml"])
def test_the_examples_are_documents_that_apply_takes(name: str) -> None:
    documents = check(
        read_paths([ROOT / "examples" / "agents" / name]), environ={"OPENAI_API_KEY": "sk-x"}
    )

    kinds = [document.kind for document in documents]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert kinds[-1] == "Agent"
