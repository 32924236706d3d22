"""The spans of runs and calls, which outlive processes: their ids follow from the rows' ids.

A run that a request began hangs under the request's span, by the `traceparent` that its row keeps.
A run without one begins the trace of its root, whose id is that of the root run. A child hangs
under the call that asked for it. So any worker, after any crash, tells the same spans.
"""

from uuid import UUID

from core.tracing import Place, half, is_chosen, place_of


def run_parent(*, root_id: UUID, parent_call_id: UUID | None, trace_parent: str) -> Place | None:
    """Return the span that a run hangs under; None for one that begins a trace."""
    if trace_parent:
        return place_of(trace_parent)
    if parent_call_id is None:
        return None
    return Place(root_id.int, half(parent_call_id), is_chosen(root_id.int))


def run_place(
    *, run_id: UUID, root_id: UUID, parent_call_id: UUID | None, trace_parent: str
) -> Place:
    """Return the span of a run."""
    parent = run_parent(root_id=root_id, parent_call_id=parent_call_id, trace_parent=trace_parent)
    if parent is not None:
        return parent.child(half(run_id))
    return Place(root_id.int, half(run_id), is_chosen(root_id.int))


def call_place(run: Place, call_id: UUID) -> Place:
    """Return the span of a tool call of a run."""
    return run.child(half(call_id))


def child_header(run: Place, call_id: UUID, *, trace_parent: str) -> str:
    """Return the `traceparent` that the row of a child run keeps; empty where it follows from ids.

    `trace_parent` is that of the run which asks.
    """
    return call_place(run, call_id).header() if trace_parent else ""


def trace_id(*, root_id: UUID, trace_parent: str) -> str:
    """Return the id of the trace that a run belongs to, whether or not it is made."""
    parent = place_of(trace_parent) if trace_parent else None
    return root_id.hex if parent is None else parent.trace_hex
