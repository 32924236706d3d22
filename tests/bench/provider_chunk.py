"""CPU time per streamed chunk: `python -m tests.bench.provider_chunk [--streams N --pace-ms N]`.

A stand-in vendor in another process sends a long answer, one network write a chunk; measured is
the CPU time of this process, which does nothing but read it. Prints one line a provider.

Without a pace the server writes as fast as it can, and one read may bring several chunks; with
`--pace-ms 20 --streams 40` every chunk is a wake-up of its own, the dearest case there is.
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
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--pace-ms", type=float, default=0.0001)
    given = parser.parse_args()
    for kind in (ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GEMINI):
        sys.stdout.write(json.dumps(_measure(kind, given)) + "\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps(asyncio.run(_scripted(given.chunks))) + "\n")


def _measure(kind: ProviderKind, given: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "scenario.json"
        # Even a pause of no length lets every frame leave in a write of its own.
        text = "word " * given.chunks
        answer = {"text": text, "chunk_chars": 5, "chunk_ms": given.pace_ms}
        script.write_text(json.dumps({"answers": [answer]}), encoding="utf-8")
        command = [sys.executable, "-m", f"tests.wire.{kind.value}_server", "--script", str(script)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            suffix = "/v1" if kind is ProviderKind.OPENAI else ""
            figures = asyncio.run(_rounds(kind, url + suffix, given.rounds, given.streams))
        finally:
            os.kill(server.pid, signal.SIGTERM)
            server.wait()
    return {
        "provider": kind.value,
        "chunks": given.chunks,
        "streams": given.streams,
        "pace_ms": given.pace_ms,
        "cpu_us_per_chunk_median": round(statistics.median(figures), 1),
        "cpu_us_per_chunk_best": round(min(figures), 1),
    }


async def _rounds(kind: ProviderKind, url: str, rounds: int, streams: int) -> list[float]:
    provider = build_provider(ProviderConfig(kind=kind, base_url=url, api_key="bench"))
    try:
        return [await _round(provider, streams) for _ in range(rounds)]
    finally:
        await provider.aclose()


async def _round(provider: Provider, streams: int) -> float:
    began = time.process_time()
    counts = await asyncio.gather(*(_read(provider) for _ in range(streams)))
    return (time.process_time() - began) / sum(counts) * 1e6


async def _read(provider: Provider) -> int:
    request = CompletionRequest(model="bench", system="", messages=(user_message("go"),))
    count = 0
    async for delta in provider.complete(request):
        count += isinstance(delta, TextDelta)
    return count


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
