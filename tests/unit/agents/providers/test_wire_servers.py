"""The stand-in vendors as processes, and the requests they refuse as the vendors would."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agents.contracts import ProviderConfig, ProviderKind, user_message
from agents.providers.build import build_provider
from tests.conformance.provider.subjects import VENDORS, answer_of, ask
from tests.wire.vendor_server import serving

GOOD: dict[str, dict[str, Any]] = {
    "openai": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "anthropic": {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
}


async def status_of(kind: str, body: Any, path: str = "") -> tuple[int, Any]:
    async with (
        serving(VENDORS[kind][0](), {"text": "hello"}) as server,
        httpx2.AsyncClient(headers={"anthropic-version": "2023-06-01"}) as client,
    ):
        answer = await client.post(server.url + (path or PATHS[kind]), json=body)
        return answer.status_code, answer.json()


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_process_serves_until_it_is_told_to_stop(kind: str, tmp_path: Path) -> None:
    script, log = tmp_path / "scenario.yaml", tmp_path / "log.jsonl"
    script.write_text("answers:\n  - text: hello from afar\n", encoding="utf-8")
    command = [sys.executable, "-m", f"tests.wire.{kind}_server", "--script", str(script)]
    command += ["--port", "0", "--log", str(log), "--key", "secret"]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    port = (await server.stdout.readline()).decode().strip()
    url = f"http://127.0.0.1:{port}{VENDORS[kind][1]}"
    config = ProviderConfig(kind=ProviderKind(kind), base_url=url, api_key="secret")
    provider = build_provider(config)
    last = await answer_of(provider, ask(user_message("hello")))
    await provider.aclose()
    server.send_signal(signal.SIGTERM)
    assert await server.wait() == 0
    assert last.message.text == "hello from afar"
    recorded = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [entry["status"] for entry in recorded] == [200]


@pytest.mark.parametrize("kind", VENDORS)
async def test_a_whole_answer_is_served_too(kind: str) -> None:
    status, body = await status_of(kind, GOOD[kind])
    assert status == 200
    assert "hello" in json.dumps(body)


@pytest.mark.parametrize("kind", VENDORS)
async def test_an_unknown_path_is_404_in_the_vendors_shape(kind: str) -> None:
    status, body = await status_of(kind, GOOD[kind], path="/elsewhere")
    assert status == 404
    assert "message" in body["error"]


CALLS = [{"id": "a", "type": "function", "function": {"name": "x", "arguments": "{}"}}]
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "x", "input": {}}]}
HI = {"role": "user", "content": "hi"}
MODEL = {"role": "model", "parts": [{"functionCall": {"name": "x", "args": {}}}]}
ASKED = {"role": "user", "parts": [{"text": "hi"}]}


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("openai", {"messages": []}, "too short"),
        ("openai", {"odd": 1}, "Unrecognized request argument"),
        ("openai", {"messages": [HI, {"role": "assistant", "tool_calls": CALLS}]}, "did not have"),
        (
            "openai",
            {"messages": [HI, {"role": "assistant", "tool_calls": CALLS}, HI]},
            "did not have response messages",
        ),
        (
            "openai",
            {"messages": [HI, {"role": "tool", "tool_call_id": "a", "content": ""}]},
            "must be a response to a preceding message",
        ),
        ("openai", {"messages": [{"role": "user", "content": None}]}, "Invalid value"),
        ("anthropic", {"messages": [HI, HI]}, "roles must alternate"),
        ("anthropic", {"messages": [{"role": "assistant", "content": "x"}]}, "alternate"),
        ("anthropic", {"messages": [HI, USE, HI]}, "without `tool_result`"),
        ("anthropic", {"max_tokens": 0}, "max_tokens"),
        ("anthropic", {"seed": 1}, "Extra inputs"),
        ("anthropic", {"messages": [{"role": "user", "content": ""}]}, "must not be empty"),
        ("gemini", {"contents": []}, "not specified"),
        ("gemini", {"stream": True}, "Unknown name"),
        ("gemini", {"contents": [ASKED, MODEL, ASKED]}, "number of function response parts"),
        ("gemini", {"contents": [MODEL]}, "must be the user's"),
        (
            "gemini",
            {
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "x", "parameters": {"additionalProperties": False}}
                        ]
                    }
                ]
            },
            "Unknown name",
        ),
    ],
)
async def test_what_the_vendor_would_refuse_is_refused(
    kind: str, change: dict[str, Any], why: str
) -> None:
    status, body = await status_of(kind, {**GOOD[kind], **change})
    assert status == 400
    assert why in body["error"]["message"]
