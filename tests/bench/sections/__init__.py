"""What `make bench` measures, in order. A new section is one module here and one line below."""

from tests.bench.sections import invoke, live, policy, steps, waiting
from tests.bench.sections.contract import Context, Row, Section

__all__ = ["SECTIONS", "Context", "Row", "Section"]

SECTIONS: tuple[Section, ...] = (
    Section(name="steps", measure=steps.measure, rows=steps.rows),
    Section(name="waiting", measure=waiting.measure, rows=waiting.rows),
    Section(name="invoke", measure=invoke.measure, rows=invoke.rows),
    Section(name="live", measure=live.measure, rows=live.rows),
    Section(name="policy", measure=policy.measure, rows=policy.rows),
)
