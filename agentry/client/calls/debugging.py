"""Requests about the debugger of a run.

Whatever changes something names the `version` that was seen; `Conflict` says who was first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentry.client.calls.shape import body, of_run, query, reads
from agentry.client.flow import Call
from agentry.client.records import Debugger, Edit, Page

_DEBUGGER = reads(Debugger)
_EDIT = reads(Edit)
_EDITS = reads(Page[Edit])


def debugger(run_id: str) -> Call[Debugger]:
    """Where the run stands, and what can be changed about it."""
    return Call(method="GET", path=of_run(run_id, "debug"), read=_DEBUGGER)


def debug(
    run_id: str,
    version: int,
    *,
    step: str = "off",
    breakpoints: Sequence[Mapping[str, str]] = (),
    scope: str = "run",
) -> Call[Debugger]:
    """Set step mode (off, model, tool, both) and breakpoints (`kind` and `value`)."""
    return Call(
        method="PUT",
        path=of_run(run_id, "debug"),
        body=body(
            version=version,
            step=step,
            breakpoints=[dict(point) for point in breakpoints],
            scope=scope,
        ),
        read=_DEBUGGER,
    )


def step(run_id: str, version: int) -> Call[Debugger]:
    """Let one model call or tool call go."""
    return Call(
        method="POST", path=of_run(run_id, "step"), body=body(version=version), read=_DEBUGGER
    )


def go_on(run_id: str, version: int) -> Call[Debugger]:
    """End the step mode and go on to the next breakpoint."""
    return Call(
        method="POST", path=of_run(run_id, "continue"), body=body(version=version), read=_DEBUGGER
    )


def edits(run_id: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[Edit]]:
    """What people changed, oldest first."""
    return Call(
        method="GET",
        path=of_run(run_id, "edits"),
        query=query(limit=limit, cursor=cursor),
        read=_EDITS,
    )


def edit_message(run_id: str, version: int, position: int, text: str) -> Call[Edit]:
    """Change the text of a message that the model has not seen."""
    return _edit(run_id, version=version, kind="message", position=position, text=text)


def edit_arguments(
    run_id: str, version: int, call_id: str, arguments: Mapping[str, Any]
) -> Call[Edit]:
    """Change the arguments of a call that has not begun; policy is asked anew."""
    return _edit(run_id, version=version, kind="arguments", call=call_id, arguments=dict(arguments))


def add_message(run_id: str, version: int, text: str) -> Call[Edit]:
    """Say something to the model before it is asked next."""
    return _edit(run_id, version=version, kind="added", text=text)


def _edit(run_id: str, **values: Any) -> Call[Edit]:
    return Call(method="POST", path=of_run(run_id, "edits"), body=body(**values), read=_EDIT)
