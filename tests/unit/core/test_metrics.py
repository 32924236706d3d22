import os
import shutil
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from core import clock
from core.metrics.exposition import exposition
from core.metrics.names import Names
from core.metrics.recording import SERIES_MOST, Recorder
from core.metrics.shelf import SILENT_SECONDS, Shelf
from core.metrics.table import METRICS, NAMES, Kind, Source

CLOSED = {
    "method", "route", "status", "state", "code", "kind", "outcome", "engine", "ended", "process",
    "wait",
}  # fmt: skip


def lines(recorder: Recorder, *prefixes: str) -> list[str]:
    text = exposition([recorder.totals()]).decode()
    return [line for line in text.splitlines() if line.startswith(prefixes)]


def test_no_metric_has_a_label_for_a_run_a_person_or_a_workspace() -> None:
    assert {label for metric in METRICS for label in metric.labels} - NAMES == CLOSED
    assert {metric.name for metric in METRICS if not metric.name.startswith("agentry_")} == set()


def test_counters_add_up_by_series() -> None:
    recorder = Recorder()
    calls = recorder.counter("agentry_tool_calls_total")
    calls.add(1, "echo", "ok")
    calls.add(2, "echo", "ok")
    calls.add(1, "echo", "failed")

    assert lines(recorder, "agentry_tool_calls_total{") == [
        'agentry_tool_calls_total{outcome="failed",tool="echo"} 1.0',
        'agentry_tool_calls_total{outcome="ok",tool="echo"} 3.0',
    ]


def test_a_histogram_counts_an_observation_in_every_bucket_above_it() -> None:
    recorder = Recorder()
    seconds = recorder.histogram("agentry_journal_commit_entries")
    for size in (1, 2, 3, 501):
        seconds.observe(size)

    told = lines(recorder, "agentry_journal_commit_entries")
    assert 'agentry_journal_commit_entries_bucket{le="1.0"} 1.0' in told
    assert 'agentry_journal_commit_entries_bucket{le="2.0"} 2.0' in told
    assert 'agentry_journal_commit_entries_bucket{le="500.0"} 3.0' in told
    assert 'agentry_journal_commit_entries_bucket{le="+Inf"} 4.0' in told
    assert "agentry_journal_commit_entries_sum 507.0" in told


def test_a_series_with_other_labels_than_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Recorder().counter("agentry_tool_calls_total").add(1, "echo")


def test_a_flood_of_names_and_of_runs_does_not_grow_the_series() -> None:
    recorder = Recorder()
    recorder.bind(most=20, agents=["chosen"])
    finished = recorder.counter("agentry_runs_finished_total")
    seconds = recorder.histogram("agentry_tool_latency_seconds")
    for number in range(200_000):
        finished.add(1, f"agent-{number}", "succeeded")
        if number < 2_000:
            seconds.observe(0.1, f"tool-{number}")
    finished.add(5, "chosen", "failed")

    told = lines(recorder, "agentry_runs_finished_total{")
    assert len(told) == 21  # nineteen that came first, the chosen one, and the rest
    assert 'agentry_runs_finished_total{agent="other",state="succeeded"} 199981.0' in told
    assert 'agentry_runs_finished_total{agent="chosen",state="failed"} 5.0' in told
    assert len(lines(recorder, "agentry_tool_latency_seconds_count{")) == 21


def test_a_closed_set_that_is_none_is_bounded_too() -> None:
    recorder = Recorder()
    errors = recorder.counter("agentry_run_errors_total")
    for number in range(SERIES_MOST + 500):
        errors.add(1, f"code-{number}")

    assert len(lines(recorder, "agentry_run_errors_total{")) == SERIES_MOST + 1


def test_threads_lose_no_count() -> None:
    recorder = Recorder()
    claimed = recorder.counter("agentry_runs_claimed_total")

    def count() -> None:
        for _ in range(20_000):
            claimed.add(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert lines(recorder, "agentry_runs_claimed_total ") == ["agentry_runs_claimed_total 80000.0"]


def test_processes_of_a_host_share_the_names_that_have_series(tmp_path: Path) -> None:
    first, second, third = Names(), Names(), Names()
    for names in (first, second, third):
        names.bind(3, first=["pinned"], file=tmp_path / "names")

    assert [first.admitted(name) for name in ("a", "b", "c")] == ["a", "b", "other"]
    assert [second.admitted(name) for name in ("c", "b", "pinned")] == ["other", "b", "pinned"]
    assert third.admitted("d") == "other"
    assert third.admitted("a") == "a"
    assert first.admitted("two\nlines " + "x" * 200) == "other"


def test_names_that_cannot_be_shared_are_other_and_stop_nobody(tmp_path: Path) -> None:
    """The disk is full, or the folder was taken away, while runs are under way."""
    names = Names()
    names.bind(3, file=tmp_path / "gone" / "names")

    assert names.admitted("a") == "other"
    (tmp_path / "gone").mkdir()
    assert names.admitted("a") == "a"


def test_figures_of_all_processes_of_a_host_are_added_up_once(tmp_path: Path) -> None:
    recorders = [Recorder(), Recorder(), Recorder()]
    shelves = [Shelf(tmp_path, recorder) for recorder in recorders]
    names = [shelf.take("worker") for shelf in shelves]
    for number, recorder in enumerate(recorders, 1):
        recorder.counter("agentry_runs_claimed_total").add(number)
        recorder.gauge("agentry_engine_runs", partial(float, number))
    for shelf in shelves:
        shelf.publish()

    assert names == ["worker-0", "worker-1", "worker-2"]
    for recorder, shelf in zip(recorders, shelves, strict=True):
        text = exposition([recorder.totals(), *shelf.others()]).decode()
        assert "\nagentry_runs_claimed_total 6.0\n" in text
        assert 'agentry_engine_runs{process="worker-1"} 2.0' in text
    for shelf in shelves:
        shelf.close()


def test_a_process_goes_on_where_the_last_one_of_its_place_stopped(tmp_path: Path) -> None:
    recorder = Recorder()
    for times in (1, 2, 3):
        recorder.clear()
        shelf = Shelf(tmp_path, recorder)
        assert shelf.take("web") == "web-0"
        recorder.counter("agentry_runs_claimed_total").add(1)
        recorder.histogram("agentry_journal_commit_entries").observe(3)
        assert f"agentry_runs_claimed_total {times}.0" in lines(recorder, "agentry_runs_claimed")
        shelf.close()
    assert len(list(tmp_path.glob("*.figures"))) == 1
    assert "agentry_journal_commit_entries_count 3.0" in lines(recorder, "agentry_journal_commit")


def test_a_killed_process_leaves_its_counts_and_its_place(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from core.metrics.recording import Recorder\n"
        "from core.metrics.shelf import Shelf\n"
        "r = Recorder(); s = Shelf(Path(sys.argv[1]), r); s.take('worker')\n"
        "r.counter('agentry_runs_claimed_total').add(7)\n"
        "r.gauge('agentry_engine_runs', lambda: 3.0); s.publish()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert died.returncode == -9

    reader = Recorder()
    web = Shelf(tmp_path, reader)
    web.take("web")
    assert "agentry_runs_claimed_total 7.0" in exposition([reader.totals(), *web.others()]).decode()
    with clock.shifted(timedelta(seconds=SILENT_SECONDS + 1)):
        text = exposition([reader.totals(), *web.others()]).decode()
        assert "agentry_runs_claimed_total 7.0" in text
        assert "agentry_engine_runs{" not in text
    heir = Recorder()
    again = Shelf(tmp_path, heir)
    assert again.take("worker") == "worker-0"
    assert lines(heir, "agentry_runs_claimed_total ") == ["agentry_runs_claimed_total 7.0"]
    again.close()
    web.close()


def test_figures_of_another_release_that_cannot_be_read_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Shelf(tmp_path, Recorder())
    writer.take("worker")
    writer.close()
    [file] = tmp_path.glob("*.figures")
    file.write_bytes(b"not figures")
    reader = Shelf(tmp_path, Recorder())

    assert list(reader.others()) == []
    assert "metrics_unreadable" in caplog.text


def test_every_line_passes_promtool() -> None:
    recorder = Recorder()
    recorder.process = "worker-0"
    for metric in METRICS:
        values = tuple(f'{label} "quoted"\\ \n é' for label in metric.labels)
        if metric.kind is Kind.COUNTER:
            recorder.counter(metric.name).add(1.5, *values)
        elif metric.kind is Kind.HISTOGRAM:
            recorder.histogram(metric.name).observe(0.2, *values)
        elif metric.source is Source.PROCESS:
            recorder.gauge(metric.name, lambda: 2.0)
    readings = [
        (metric.name, tuple("x" for _ in metric.labels), 1.0)
        for metric in METRICS
        if metric.source is Source.DATABASE
    ]
    text = exposition([recorder.totals()], readings)
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing; run: scripts/services install"

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=60
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    told = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")}
    assert told == {metric.name for metric in METRICS}


def test_counting_needs_no_library_of_prometheus() -> None:
    code = "import sys, core.metrics.instruments; print('prometheus_client' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ},
    )  # fmt: skip
    assert found.stdout.strip() == "False"
