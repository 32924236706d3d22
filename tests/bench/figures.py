"""Arithmetic on results: the median of several passes, and the few ratios that are quoted."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Figures: TypeAlias = dict[str, Any]

# Quoted figure: the path of the measured value, and of the value it is divided by.
_RATIOS: dict[str, tuple[str, str]] = {
    "steps_vs_dbos_500": (
        "steps.engine.500.steps_per_second",
        "steps.dbos.500.steps_per_second",
    ),
    "steps_vs_langgraph_500": (
        "steps.engine.500.steps_per_second",
        "steps.langgraph.500.steps_per_second",
    ),
    "steps_vs_raw_500": (
        "steps.engine.500.steps_per_second",
        "steps.raw.500.steps_per_second",
    ),
}
_VALUES: dict[str, str] = {
    "engine_1000_wall_vs_ideal": "waiting.1000.wall_vs_ideal",
    "invoke_burst_p95_ms": "invoke.postgres.bursts.p95_ms",
    "invoke_sqlite_burst_p95_ms": "invoke.sqlite.bursts.p95_ms",
    "invoke_runs_lost": "invoke.runs_lost",
    "live_p95_ms": "live.p95_ms",
}
_WORST = ("invoke_runs_lost",)  # one bad pass must not vanish in a median

QUOTED = (*_RATIOS, *_VALUES)
REQUIRED = (*_RATIOS, "engine_1000_wall_vs_ideal", "invoke_burst_p95_ms")


def at(figures: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path, None where it leads nowhere."""
    value: Any = figures
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def quoted(passes: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the quoted figures of all passes: medians, but of losses the worst."""
    each = [_quoted_in(figures) for figures in passes]
    found: dict[str, float | None] = median(each)
    for name in _WORST:
        measured = [value for one in each if (value := one[name]) is not None]
        found[name] = max(measured, default=None)
    return found


def _quoted_in(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the quoted figures of one pass; None for what was not measured in it."""
    found: dict[str, float | None] = {}
    for name, (measured_path, base_path) in _RATIOS.items():
        measured, base = at(figures, measured_path), at(figures, base_path)
        found[name] = round(measured / base, 3) if measured and base else None
    for name, path in _VALUES.items():
        found[name] = at(figures, path)
    return found


def median(passes: Sequence[Any]) -> Any:
    """Fold passes into one of the same shape, every number the median of its numbers.

    What is not a number is taken from the first pass that has it, so an error in any pass stays
    visible.
    """
    present = [value for value in passes if value is not None]
    if not present:
        return None
    if all(isinstance(value, Mapping) for value in present):
        names = dict.fromkeys(name for value in present for name in value)
        return {name: median([value.get(name) for value in present]) for name in names}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        middle = statistics.median(present)
        return round(middle, 4) if isinstance(middle, float) else middle
    return present[0]


def errors(figures: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every recorded error with its place."""
    for name, value in figures.items():
        if name == "error":
            yield place, str(value)
        elif isinstance(value, Mapping):
            yield from errors(value, f"{place}.{name}" if place else name)
