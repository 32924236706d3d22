"""What a section of the bench is given and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.durable_steps import BenchError
from tests.bench.figures import Figures
from tests.bench.servers import Servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`is_quick` asks for the smallest counts that still mean something.

    `systems` limits the step section to some systems; empty means all of its standard ones.
    """

    servers: Servers
    is_quick: bool
    systems: tuple[str, ...] = ()
    tell: Callable[[str], None] = field(default=lambda words: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the printed table, in words and rounded numbers."""

    case: str
    figure: str
    cpu: str = ""
    spin_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A named measurement, and how its figures read in the table."""

    name: str
    measure: Callable[[Context], Figures]
    rows: Callable[[Figures], list[Row]]


def attempt(measurement: Callable[[], Figures]) -> Figures:
    """Return the figures, or the reason why there are none, so that the other parts still run."""
    try:
        return measurement()
    except BenchError as error:
        return {"error": str(error)}
