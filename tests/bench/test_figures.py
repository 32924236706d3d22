"""Medians, ratios and what is kept."""

import json
from pathlib import Path
from typing import Any

from tests.bench import figures, report


def measured(engine: float, dbos: float) -> dict[str, Any]:
    return {
        "steps": {
            "engine": {"500": {"steps_per_second": engine}},
            "dbos": {"500": {"steps_per_second": dbos}},
        }
    }


def result(**values: float | None) -> dict[str, Any]:
    required: dict[str, float | None] = dict.fromkeys(figures.REQUIRED, 1.0)
    return {
        "measured_at": "2026-11-22T08:00:00+00:00", "commit": "abc1234",
        "sections": {}, "passes": [], **required, **values,
    }  # fmt: skip


def test_ratios_are_taken_within_a_pass_and_their_median_counts() -> None:
    passes = [measured(1000, 100), measured(3000, 100), measured(500, 25)]
    quoted = figures.quoted(passes)
    assert quoted["steps_vs_dbos_500"] == 20.0
    assert quoted["steps_vs_raw_500"] is None


def test_a_loss_in_one_pass_is_not_hidden_by_the_others() -> None:
    passes = [{"invoke": {"runs_lost": lost}} for lost in (0, 3, 0)]
    assert figures.quoted(passes)["invoke_runs_lost"] == 3


def test_the_median_keeps_the_shape_and_an_error_of_any_pass() -> None:
    passes = [{"a": {"b": 1, "c": "x"}}, {"a": {"b": 3, "c": "y"}}, {"a": {"error": "gone"}}]
    assert figures.median(passes) == {"a": {"b": 2.0, "c": "x", "error": "gone"}}
    assert list(figures.errors(figures.median(passes))) == [("a", "gone")]


def test_a_whole_result_becomes_the_latest(tmp_path: Path) -> None:
    report.keep(result(), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "2026-11-22-abc1234.json", "history.jsonl", "latest.json",
    ]  # fmt: skip


def test_a_partial_result_joins_the_history_and_leaves_the_latest(tmp_path: Path) -> None:
    report.keep(result(), tmp_path)
    before = (tmp_path / "latest.json").read_text()
    report.keep(result(steps_vs_raw_500=None, invoke_burst_p95_ms=7.0), tmp_path)
    assert (tmp_path / "latest.json").read_text() == before
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["invoke_burst_p95_ms"] for line in lines] == [1.0, 7.0]
    assert "passes" not in lines[0]
