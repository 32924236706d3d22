"""The load generator against real servers: what it counts, keeps and refuses to believe."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bench import load
from tests.bench.durable_steps import BenchError
from tests.bench.programs import Program

Answer = Callable[[int], bytes | None]


def reply(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def accepted(number: int) -> bytes:
    return reply("202 Accepted", json.dumps({"id": f"run-{number}"}).encode())


@asynccontextmanager
async def server(
    answer: Answer, delay_seconds: float = 0.0
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer request N with `answer(N)`, hang up when that is None; gives port and requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                answered = answer(len(requests))
                if delay_seconds:
                    await asyncio.sleep(delay_seconds)
                if answered is None:
                    return
                writer.write(answered)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], requests


def plan(port: int, **changes: float) -> load.Load:
    request = load.request_bytes(port=port, path="/invoke", token="agk_1", body=b'{"input":"x"}')
    values: dict[str, float] = {
        "connections": 20, "seconds": 0, "ramp_seconds": 0, "rounds": 0, "patience_seconds": 5,
    } | changes  # fmt: skip
    return load.Load(
        port=port,
        request=request,
        connections=int(values["connections"]),
        seconds=values["seconds"],
        ramp_seconds=values["ramp_seconds"],
        rounds=int(values["rounds"]),
        patience_seconds=values["patience_seconds"],
    )


async def test_bursts_send_one_request_a_connection_and_round_and_keep_every_id() -> None:
    async with server(accepted) as (port, requests):
        figures, ids = await load.generate(plan(port, rounds=3))
    assert figures["statuses"] == {"202": 60}
    assert len(figures["bursts"]["rounds"]) == 3
    assert sorted(ids) == sorted(f"run-{number}" for number in range(1, 61))
    assert (figures["ids"], figures["ids_distinct"], figures["connections_lost"]) == (60, 60, 0)
    assert len(requests) == 60
    assert requests[0].startswith(b"POST /invoke HTTP/1.1\r\n")
    assert b"Authorization: Bearer agk_1\r\n" in requests[0]
    assert requests[0].endswith(b'\r\n\r\n{"input":"x"}')


async def test_burst_latency_is_the_server_delay_at_least() -> None:
    async with server(accepted, delay_seconds=0.05) as (port, _):
        figures, _ = await load.generate(plan(port, rounds=1))
    bursts = figures["bursts"]
    assert bursts["p50_ms"] >= 50
    assert bursts["p50_ms"] <= bursts["p95_ms"] <= bursts["p99_ms"] <= bursts["max_ms"]
    assert bursts["p95_from_begin_ms"] >= bursts["p95_ms"]


async def test_closed_loop_counts_all_answers_but_measures_those_after_the_ramp() -> None:
    async with server(accepted, delay_seconds=0.02) as (port, requests):
        figures, ids = await load.generate(plan(port, seconds=0.3, ramp_seconds=0.2))
    measured = figures["closed"]["requests_per_second"] * 0.3
    assert figures["answers"] == len(requests) == len(ids)
    assert 0 < measured < figures["answers"]


async def test_refusals_are_counted_and_give_no_ids() -> None:
    def every_other(number: int) -> bytes:
        return accepted(number) if number % 2 else reply("429 Too Many Requests", b"{}")

    async with server(every_other) as (port, _):
        figures, ids = await load.generate(plan(port, rounds=1))
    assert figures["statuses"] == {"202": 10, "429": 10}
    assert len(ids) == 10


async def test_lost_connections_end_the_load_and_keep_what_was_answered() -> None:
    async with server(lambda number: accepted(number) if number <= 30 else None) as (port, _):
        figures, ids = await load.generate(plan(port, rounds=3))
    assert figures["statuses"] == {"202": 30}
    assert figures["connections_lost"] == 20
    assert len(ids) == 30


async def test_an_accepted_answer_without_an_id_is_an_error() -> None:
    async with server(lambda number: reply("202 Accepted", b'{"run": 1}')) as (port, _):
        with pytest.raises(BenchError, match="carries no run `id`"):
            await load.generate(plan(port, rounds=1))


async def test_a_silent_server_is_an_error_after_the_patience() -> None:
    async with server(accepted, delay_seconds=3) as (port, _):
        with pytest.raises(BenchError, match=r"20 of 20 requests had no answer after 0\.2 s"):
            await load.generate(plan(port, rounds=1, patience_seconds=0.2))


async def test_an_unreachable_port_is_an_error() -> None:
    async with server(accepted) as (port, _):
        pass  # stopped again, so that nobody listens there
    with pytest.raises(BenchError, match=f"port {port} took 0 of 20 connections"):
        await load.generate(plan(port, rounds=1))


async def test_the_command_prints_its_figures_and_keeps_the_ids(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    program = Program(module="tests.bench.load", environment={"AGENTRY_TOKEN": "agk_2"})
    async with server(accepted) as (port, requests):
        arguments = ["--port", str(port), "--path", "/v1", "--body", "{}", "--connections", "5"]
        arguments += ["--seconds", "0", "--rounds", "2", "--ids-out", str(file)]
        figures = await asyncio.to_thread(
            program.measure, arguments, needs=("bursts",), timeout_seconds=30
        )
    assert figures["statuses"] == {"202": 10}
    assert sorted(file.read_text().split()) == sorted(f"run-{n}" for n in range(1, 11))
    assert b"Authorization: Bearer agk_2\r\n" in requests[0]


def test_a_program_that_fails_is_an_error_with_its_last_words() -> None:
    program = Program(module="tests.bench.raw", environment={"DATABASE_URL": ""})
    with pytest.raises(BenchError, match=r"status 1: .*DATABASE_URL is empty"):
        program.measure(["1", "1", "1"], needs=(), timeout_seconds=30)


def test_a_program_that_is_not_there_is_an_error() -> None:
    program = Program(module="tests.bench.nowhere", environment={})
    with pytest.raises(BenchError, match=r"tests/bench/nowhere\.py is not there"):
        program.measure([], needs=(), timeout_seconds=30)
