"""Decisions of policies a second, by engine and by the number of rules."""

from tests.bench.figures import Figures
from tests.bench.machine import observed
from tests.bench.programs import Program
from tests.bench.sections.contract import Context, Row, attempt

ENGINES = {
    "matrix": "matrix in process",
    "rego": "Rego, prebuilt bundle, process beside",
    "opa": "OPA's data API over HTTP",
    "cached": "asked before",
}
_TIMEOUT_SECONDS = 300.0


def measure(context: Context) -> Figures:
    """Measure every engine on matrices of 8, 100 and 250 rules."""
    context.tell("policy: decisions by each engine")
    return attempt(lambda: _measured(context))


def _measured(context: Context) -> Figures:
    program = Program(module="tests.bench.policy", environment={})
    seconds = "0.3" if context.is_quick else "2"
    with observed(context.servers) as around:
        told = program.measure(
            [seconds],
            needs=("rules", "ungoverned_microseconds"),
            timeout_seconds=_TIMEOUT_SECONDS,
        )
    return {**told, **around.rounded()}


def rows(figures: Figures) -> list[Row]:
    """One row for each engine and number of rules, and one for what no policy costs."""
    if "error" in figures:
        return [Row(case="decisions", figure=figures["error"])]
    found = [
        Row(
            case=f"{words}, {count} rules",
            figure=f"{cell[engine]:,.0f} decisions/s",
            cpu=f"{1000 / cell[engine]:.3f} ms each",
            spin_seconds=figures.get("spin_seconds"),
        )
        for count, cell in figures["rules"].items()
        for engine, words in ENGINES.items()
    ]
    microseconds = figures["ungoverned_microseconds"]
    return [*found, Row(case="a call without a policy", figure=f"{microseconds:.2f} µs")]
