"""What processes report of themselves, and the profiles they are asked for."""

import asyncio
import gzip
import os
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core import clock, loop_lag
from core.ids import new_id
from governance.contracts import SYSTEM, Actor, Perm
from observability.errors import ProfileUnderwayError
from observability.execution import process_watch, sampling
from observability.execution.process_watch import ProcessWatch, lag_of
from observability.execution.sampling import Sampled, SamplingError, bounded, sample
from observability.models import Process, Profile, SlowCallback
from observability.selectors.profiles import (
    processes_seen,
    profile_get,
    profile_stacks,
    profiling_is_open_to,
)
from observability.services import profile_request
from observability.transitions import profile_claim, profile_done, profiles_give_up

pytestmark = pytest.mark.django_db

ROOT = Actor(user_id=new_id(), username="root", is_superuser=True)


@pytest.fixture
def watch() -> ProcessWatch:
    made = ProcessWatch("worker")
    made.beat()
    return made


@pytest.fixture
def busy() -> Iterator[None]:
    """A thread that computes while the test runs."""
    over = threading.Event()

    def count_sheep() -> None:
        while not over.is_set():
            sum(number * number for number in range(1_000))

    thread = threading.Thread(target=count_sheep, name="shepherd")
    thread.start()
    yield
    over.set()
    thread.join()


def ask(watch: ProcessWatch, **more: Any) -> Any:
    return profile_request(ROOT, process_id=watch.process_id, **{"seconds": 1} | more)


def slow(where: str, seconds: float = 0.4) -> loop_lag.SlowCallback:
    return loop_lag.SlowCallback(at=clock.now(), seconds=seconds, where=where, stack=(where, "x"))


def test_a_process_reports_itself_and_takes_its_row_when_it_ends(watch: ProcessWatch) -> None:
    (seen,) = processes_seen(ROOT)

    assert (seen.id, seen.kind, seen.pid, seen.is_alive) == (
        watch.process_id, "worker", os.getpid(), True,
    )  # fmt: skip
    assert (seen.lag_seconds, seen.lag_p99_seconds) == (None, None), "no loop is watched"


def test_slow_callbacks_are_written_once_with_their_stack(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = slow("agents.a:f:1"), slow("agents.b:g:2")
    monkeypatch.setattr(process_watch, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(loop_lag, "recent", lambda: [first])
    watch.beat()
    monkeypatch.setattr(loop_lag, "recent", lambda: [second, first])
    monkeypatch.setattr(loop_lag, "lags", lambda: [[0.5, 0.001], []])
    watch.beat()
    watch.beat()

    rows = SlowCallback.objects.order_by("at")
    assert [(row.where, row.seconds, row.stack) for row in rows] == [
        ("agents.a:f:1", 0.4, ["agents.a:f:1", "x"]), ("agents.b:g:2", 0.4, ["agents.b:g:2", "x"]),
    ]  # fmt: skip
    (seen,) = processes_seen(ROOT)
    assert (seen.lag_seconds, seen.lag_p99_seconds, seen.slow_callbacks) == (0.001, 0.5, 2)


def test_the_oldest_slow_callbacks_make_room(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_watch, "SLOW_KEPT", 3)
    monkeypatch.setattr(process_watch, "BEAT_SECONDS", 0.0)
    found = [slow(f"f:{number}") for number in range(5)]
    monkeypatch.setattr(loop_lag, "recent", lambda: found[::-1])
    watch.beat()

    assert set(SlowCallback.objects.values_list("where", flat=True)) == {"f:2", "f:3", "f:4"}


def test_the_lag_of_many_beats_is_its_last_and_its_99th_percentile() -> None:
    assert lag_of([]) == lag_of([[]]) == (None, None)
    assert lag_of([[0.2]]) == (0.2, 0.2)
    assert lag_of([[number / 1000 for number in range(100)], [0.2, 0.0]]) == (0.099, 0.099)
    assert lag_of([[5.0] + [0.001] * 998]) == (0.001, 0.001)


def hold_the_loop_up() -> None:
    until = clock.monotonic() + 0.4
    while clock.monotonic() < until:
        sum(range(1_000))


def test_a_callback_that_holds_a_watched_loop_up_is_named(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_watch, "BEAT_SECONDS", 0.0)
    loop, told = asyncio.new_event_loop(), threading.Event()
    serving = threading.Thread(target=loop.run_forever, name="loop")
    beaten = threading.Event()
    looked = loop_lag.LoopWatch(
        loop, 0.1, lambda _: told.set(), on_lag=lambda _: beaten.set(), beat_seconds=0.05
    )
    serving.start()
    loop_lag.watched(looked)
    try:
        assert beaten.wait(20), "the watch knows the loop's thread"
        loop.call_soon_threadsafe(hold_the_loop_up)
        assert told.wait(20)
        watch.beat()
    finally:
        loop_lag.unwatched(looked)
        loop.call_soon_threadsafe(loop.stop)
        serving.join()
        loop.close()

    row = SlowCallback.objects.get()
    assert row.where.split(":")[1] == "hold_the_loop_up"
    assert row.seconds > 0.1
    (seen,) = processes_seen(ROOT)
    assert seen.lag_p99_seconds is not None
    assert seen.lag_p99_seconds > 0.1


def test_a_process_samples_itself_and_finds_what_is_busy(watch: ProcessWatch, busy: None) -> None:
    asked = ask(watch)
    watch.step()

    seen = profile_get(ROOT, asked.id)
    assert (seen.state, seen.problem) == ("done", "")
    assert seen.samples > 30
    heaviest = profile_stacks(ROOT, asked.id).splitlines()[0]
    assert "shepherd" in heaviest
    assert "count_sheep" in heaviest
    assert Profile.objects.get().finished_at is not None


def test_one_process_has_one_profile_at_a_time(watch: ProcessWatch) -> None:
    ask(watch)
    with pytest.raises(ProfileUnderwayError, match="being profiled already"):
        ask(watch)

    claimed = profile_claim(watch.process_id)
    assert claimed is not None
    assert profile_claim(watch.process_id) is None, "claimed twice"
    with pytest.raises(ProfileUnderwayError):
        ask(watch)
    assert profile_done(claimed.pk, stacks=gzip.compress(b"a 1\n"), samples=1)
    assert not profile_done(claimed.pk, stacks=b"", samples=0), "done twice"
    ask(watch)
    assert Profile.objects.count() == 2


def test_other_processes_leave_a_request_alone(watch: ProcessWatch) -> None:
    ask(watch)

    ProcessWatch("web").step()

    assert Profile.objects.get().state == "requested"


def test_a_process_that_dies_in_the_middle_is_told(watch: ProcessWatch) -> None:
    ask(watch)
    assert profile_claim(watch.process_id) is not None
    assert profiles_give_up() == 0, "it is alive"
    long_ago = clock.now() - timedelta(seconds=40)
    Process.objects.update(seen_at=long_ago)
    Profile.objects.update(requested_at=long_ago)

    assert profiles_give_up() == 1

    row = Profile.objects.get()
    assert row.state == "failed"
    assert "stopped, or was killed" in row.problem
    assert not profile_done(row.pk, stacks=b"x", samples=1), "what comes after is too late"


def test_a_process_that_never_answers_is_given_up(watch: ProcessWatch) -> None:
    ask(watch)
    assert profile_claim(watch.process_id) is not None
    Profile.objects.update(started_at=clock.now() - timedelta(seconds=62))

    assert profiles_give_up() == 1
    assert "gave no profile in time" in Profile.objects.get().problem


def test_a_process_that_is_told_to_stop_says_so_of_its_profile(watch: ProcessWatch) -> None:
    asked = ask(watch, seconds=60)
    watch._stopping.set()

    watch.step()

    assert "told to stop while it was profiled" in profile_get(ROOT, asked.id).problem


@pytest.mark.parametrize(
    ("program", "problem", "remedy"),
    [
        (
            'echo "Error: Permission Denied: Try again with sudo" >&2; exit 1',
            "kernel",
            "SYS_PTRACE",
        ),
        ('echo "Error: no python here" >&2; exit 1', "no python here", "py-spy dump"),
        ("kill -9 $$", "ended without a profile", "Try again"),
        ('for last; do true; done; : > "$last"', "No thread was doing", "waiting threads"),
        (
            'for last; do true; done; echo "thread (7): process-watch;a 9" > "$last"',
            "No thread was doing",
            "waiting threads",
        ),
    ],
)
def test_what_py_spy_refuses_is_told_with_a_remedy(
    watch: ProcessWatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    problem: str,
    remedy: str,
) -> None:
    script = tmp_path / "py-spy"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sampling, "_program", lambda: str(script))
    asked = ask(watch)

    watch.step()

    seen = profile_get(ROOT, asked.id)
    assert seen.state == "failed"
    assert problem in seen.problem
    assert remedy in seen.remedy


def test_without_py_spy_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(SamplingError, match="py-spy is not installed"):
        sample(seconds=1, rate=10, with_idle=False, is_over=lambda: False, beat=lambda: None)


def test_a_program_that_never_ends_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "py-spy"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 1000\n")
    script.chmod(0o755)
    monkeypatch.setattr(sampling, "_program", lambda: str(script))
    monkeypatch.setattr(sampling, "_GRACE_SECONDS", -1.0)

    with pytest.raises(SamplingError, match="did not end in time"):
        sample(
            seconds=1, rate=10, with_idle=False, is_over=lambda: False,
            beat=lambda: None if (tmp_path / "pid").exists() else pytest.fail("it never began"),
        )  # fmt: skip

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_profile_stays_small_and_says_what_it_put_together() -> None:
    stacks = b"thread (1): process-watch;x 900\na;b 5\na;c 90\nnot a line\na;" + b"d" * 50 + b" 7\n"

    whole, small = bounded(stacks), bounded(stacks, most_bytes=12)

    assert (whole.samples, small.samples) == (102, 102)
    assert whole.stacks.splitlines()[0] == b"a;c 90"
    assert len(whole.stacks.splitlines()) == 3
    assert small.stacks.splitlines()[0] == b"a;c 90"
    assert small.stacks.splitlines()[-1].endswith(b"12")
    assert gzip.decompress(Sampled(stacks=b"x 1\n", samples=1).packed()) == b"x 1\n"


def test_only_the_last_fifty_profiles_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_watch, "PROFILES_KEPT", 2)
    for number in range(4):
        Profile.objects.create(
            process_id=new_id(), process=f"p{number}", seconds=1, rate=100, state="done",
            requested_by="root", requested_at=clock.now(), finished_at=clock.now(),
        )  # fmt: skip
    process_watch.profiles_bound()

    assert set(Profile.objects.values_list("process", flat=True)) == {"p2", "p3"}


def test_a_narrowed_token_of_a_superuser_is_not_enough() -> None:
    narrowed = Actor(
        user_id=new_id(), username="root", is_superuser=True, scopes=frozenset({Perm.RUN_VIEW})
    )

    assert profiling_is_open_to(ROOT)
    assert not profiling_is_open_to(narrowed)
    assert not profiling_is_open_to(SYSTEM)
