"""What is told of a run that has ended, whoever ended it: its counts, and its span where tracing is
on. Names, states and ids; nothing of what the run was about.
"""

import time
from collections.abc import Mapping
from uuid import UUID

import msgspec

from core import clock, tracing
from core.ids import made_at
from core.metrics.instruments import RUN_ERRORS, RUN_SECONDS, RUNS_FINISHED
from core.tracing import Place, Span, Value
from core.tracing import conventions as name
from core.tracing.durable import call_place, run_parent, run_place


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its end is told."""

    id: UUID
    workspace_id: UUID
    agent_name: str
    state: str
    error_code: str
    depth: int
    root_id: UUID
    parent_call_id: UUID | None
    trace_parent: str

    @property
    def place(self) -> Place:
        return run_place(
            run_id=self.id,
            root_id=self.root_id,
            parent_call_id=self.parent_call_id,
            trace_parent=self.trace_parent,
        )


def calls_closed(run: EndedRun, calls: Mapping[UUID, str]) -> None:
    """Tell of calls that ended with a run nobody was driving: tools by the ids of their calls."""
    for call_id, tool in calls.items():
        tracing.tell(
            Span(
                name=f"{name.EXECUTE_TOOL} {tool}",
                place=call_place(run.place, call_id),
                parent=run.place,
                began_ns=int(made_at(call_id) * 1e9),
                ended_ns=time.time_ns(),
                attributes={
                    name.OPERATION_NAME: name.EXECUTE_TOOL,
                    name.TOOL_NAME: tool,
                    name.TOOL_TYPE: "function",
                    name.AGENT_NAME: run.agent_name,
                    name.RUN_ID: str(run.id),
                    name.ERROR_TYPE: run.state,
                },
                error=run.state,
            )
        )


def run_errors(code: str) -> None:
    """Count a run that failed or was parked for a cause with a code."""
    if code:
        RUN_ERRORS.add(1, code)


def run_ended(run: EndedRun, more: Mapping[str, Value]) -> None:
    """Tell of the end of a run, once it is durable; `more` are attributes of its span."""
    RUNS_FINISHED.add(1, run.agent_name, run.state)
    RUN_SECONDS.observe(max(clock.now().timestamp() - made_at(run.id), 0.0), run.state)
    if not tracing.is_on():
        return
    attributes: dict[str, Value] = {
        name.OPERATION_NAME: name.INVOKE_AGENT,
        name.AGENT_NAME: run.agent_name,
        name.RUN_ID: str(run.id),
        name.RUN_STATE: run.state,
        name.RUN_DEPTH: run.depth,
        name.WORKSPACE_ID: str(run.workspace_id),
        **more,
    }
    if run.error_code:
        attributes[name.ERROR_TYPE] = run.error_code
    parent = run_parent(
        root_id=run.root_id, parent_call_id=run.parent_call_id, trace_parent=run.trace_parent
    )
    tracing.tell(
        Span(
            name=f"{name.INVOKE_AGENT} {run.agent_name}",
            place=run.place,
            parent=parent,
            began_ns=int(made_at(run.id) * 1e9),
            ended_ns=time.time_ns(),
            attributes=attributes,
            error=run.error_code,
        )
    )
