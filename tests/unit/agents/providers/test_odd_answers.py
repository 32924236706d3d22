"""Whatever JSON a server puts into its events, the outcome is an answer or a ProviderError."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.contracts import Completed, ProviderConfig, ProviderKind, user_message
from agents.errors import ProviderError
from agents.providers.anthropic import AnthropicProvider
from agents.providers.gemini import GeminiProvider
from agents.providers.openai import OpenAIProvider
from tests.conformance.provider.subjects import ask
from tests.wire.anthropic_server import AnthropicVendor
from tests.wire.gemini_server import GeminiVendor
from tests.wire.openai_server import OpenAIVendor
from tests.wire.scenario import Answer, Ask

ANSWER = Answer(
    text="some text",
    reasoning="some thought",
    tool_calls=({"name": "now", "arguments": {"a": [1]}}, {"name": "now", "arguments": {}}),
    style=frozenset({"server_tool"}),
)
ASK = Ask(model="gemini-3", said="", turn=0, last_tool="", position=1, is_streaming=True)
KINDS: dict[str, tuple[Any, Any, ProviderKind]] = {
    "openai": (OpenAIProvider, OpenAIVendor, ProviderKind.OPENAI),
    "anthropic": (AnthropicProvider, AnthropicVendor, ProviderKind.ANTHROPIC),
    "gemini": (GeminiProvider, GeminiVendor, ProviderKind.GEMINI),
}
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1e300,
    "",
    "x",
    [],
    {},
    [None],
    [[]],
    {"a": 1},
    [{"text": 1}],
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) inside `value`."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return []
    own = [(value, key) for key, _ in pairs]
    return own + [place for _, inner in pairs for place in places(inner)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_odd_value_anywhere_never_escapes(kind: str, data: st.DataObject) -> None:
    adapter, vendor, provider_kind = KINDS[kind]
    frames = [frame.strip().rpartition(b"data: ")[2] for frame in vendor().frames(ANSWER, ASK)]
    number = data.draw(st.integers(0, len(frames) - 1))
    if frames[number].startswith(b"{"):
        event = json.loads(frames[number])
        container, key = data.draw(st.sampled_from(places(event)))
        container[key] = data.draw(st.sampled_from(VALUES))
        frames[number] = json.dumps(event).encode()
    asyncio.run(_ask(adapter(ProviderConfig(kind=provider_kind)), frames))


async def _ask(provider: Any, frames: list[bytes]) -> None:
    async def events(*_: object, **__: object) -> AsyncGenerator[bytes, None]:
        for frame in frames:
            yield frame

    provider._connection.events = events
    try:
        deltas = [delta async for delta in provider.complete(ask(user_message("go")))]
    except ProviderError:
        return
    finally:
        await provider.aclose()
    assert isinstance(deltas[-1], Completed)
