"""CPU time per streamed chunk: `python -m tests.bench.provider_chunk [--chunks N] [--rounds N]`.

A stand-in vendor in another process sends a long answer, one network write a chunk; measured is
the CPU time of this process, which does nothing but read it. Prints one line a provider.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agents.contracts import (
    CompletionRequest,
    Provider,
    ProviderConfig,
    ProviderKind,
    TextDelta,
    user_message,
)
from agents.providers.build import build_provider


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU microseconds per streamed chunk")
    parser.add_argument("--chunks", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for kind in (ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GEMINI):
        sys.stdout.write(json.dumps(_measure(kind, given.chunks, given.rounds)) + "\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps(asyncio.run(_scripted(given.chunks))) + "\n")


def _measure(kind: ProviderKind, chunks: int, rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "scenario.json"
        # A pause of no length lets every frame leave in a write of its own.
        answer = {"text": "word " * chunks, "chunk_chars": 5, "chunk_ms": 0.0001}
        script.write_text(json.dumps({"answers": [answer]}), encoding="utf-8")
        command = [sys.executable, "-m", f"tests.wire.{kind.value}_server", "--script", str(script)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            suffix = "/v1" if kind is ProviderKind.OPENAI else ""
            figures = asyncio.run(_rounds(kind, url + suffix, rounds))
        finally:
            os.kill(server.pid, signal.SIGTERM)
            server.wait()
    return {
        "provider": kind.value,
        "chunks": chunks,
        "cpu_us_per_chunk_median": round(statistics.median(figures), 1),
        "cpu_us_per_chunk_best": round(min(figures), 1),
    }


async def _rounds(kind: ProviderKind, url: str, rounds: int) -> list[float]:
    provider = build_provider(ProviderConfig(kind=kind, base_url=url, api_key="bench"))
    try:
        return [await _round(provider) for _ in range(rounds)]
    finally:
        await provider.aclose()


async def _round(provider: Provider) -> float:
    request = CompletionRequest(model="bench", system="", messages=(user_message("go"),))
    count = 0
    began = time.process_time()
    async for delta in provider.complete(request):
        count += isinstance(delta, TextDelta)
    return (time.process_time() - began) / count * 1e6


async def _scripted(answers: int) -> dict[str, object]:
    provider = build_provider(
        ProviderConfig(kind=ProviderKind.SCRIPTED, script='steps: [{text: "you said ${input}"}]')
    )
    request = CompletionRequest(model="bench", system="", messages=(user_message("go"),))
    began = time.process_time()
    for _ in range(answers):
        async for _ in provider.complete(request):
            pass
    used = time.process_time() - began
    return {"provider": "scripted", "cpu_us_per_answer": round(used / answers * 1e6, 1)}


if __name__ == "__main__":
    main()
