"""The factory: what it wraps, what it refuses, and that adapters are imported only when needed."""

import subprocess
import sys

import pytest

from agents.contracts import ProviderConfig, ProviderKind, user_message
from agents.errors import ScriptError
from agents.providers.build import build_provider
from agents.providers.history import ToolNames
from agents.providers.retry import RetryingProvider
from agents.providers.scripted import ScriptedProvider
from core.errors import InvalidInputError
from tests.conformance.provider.subjects import KEY, answer_of, ask


def test_building_a_scripted_provider_imports_no_network_code() -> None:
    code = (
        "import sys; from agents.contracts import ProviderConfig, ProviderKind\n"
        "from agents.providers.build import build_provider\n"
        "build_provider(ProviderConfig(kind=ProviderKind.SCRIPTED))\n"
        "assert not {'httpx2', 'django'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_script_without_failures_is_not_wrapped() -> None:
    plain = build_provider(ProviderConfig(kind=ProviderKind.SCRIPTED))
    assert type(plain) is ScriptedProvider
    failing = build_provider(
        ProviderConfig(kind=ProviderKind.SCRIPTED, script="steps: [{error: {kind: auth}}]")
    )
    assert type(failing) is RetryingProvider


async def test_a_scripted_failure_is_retried_like_a_real_one() -> None:
    script = "steps: [{text: fine, error: {kind: overloaded, times: 2, retry_after_seconds: 0}}]"
    provider = build_provider(ProviderConfig(kind=ProviderKind.SCRIPTED, script=script))
    assert (await answer_of(provider, ask(user_message("go")))).message.text == "fine"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds"),
        ({"max_retries": 11}, "max_retries"),
        ({"base_url": "http://169.254.169.254"}, "base_url"),
        ({"headers": {"x-a": "b\r\nx-c: d"}}, "headers"),
        ({"api_key": KEY + "\nx"}, "headers"),
        ({"api_key": KEY + "é"}, "headers"),
    ],
)
def test_wrong_settings_are_refused_without_showing_the_key(
    settings: dict[str, object], field: str
) -> None:
    given = {"api_key": KEY, **settings}
    with pytest.raises(InvalidInputError) as caught:
        build_provider(ProviderConfig(kind=ProviderKind.OPENAI, **given))  # type: ignore[arg-type]
    assert list(caught.value.fields) == [field]
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.fields}"


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="max_concurrency"):
        build_provider(ProviderConfig(kind=ProviderKind.SCRIPTED), max_concurrency=0)


def test_a_wrong_script_is_refused_when_building() -> None:
    with pytest.raises(ScriptError, match="line 1"):
        build_provider(ProviderConfig(kind=ProviderKind.SCRIPTED, script="steps: 1"))


def test_tool_names_become_plain_and_come_back() -> None:
    long = "x" * 80
    names = ToolNames(["a.b", "a_b", "1st", "ok-name", "é", "è", long])
    wires = [names.to_wire(name) for name in ("a.b", "a_b", "1st", "ok-name", "é", "è", long)]
    assert wires[1] == "a_b"
    assert wires[3] == "ok-name"
    assert wires[0].startswith("a_b_")
    assert wires[2] == "_1st"
    assert len(set(wires)) == 7
    assert all(len(wire) <= 64 for wire in wires)
    assert names.from_wire(wires[0]) == "a.b"
    assert names.from_wire("made_up") == "made_up"
    assert names.from_wire(names.to_wire("old.tool")) == "old.tool"
