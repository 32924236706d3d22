"""Requests about runs, their histories and their control."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentry.client.calls.shape import body, in_workspace, new_key, of_run, query, reads
from agentry.client.flow import Call
from agentry.client.records import (
    Checkpoint,
    Event,
    FileDifference,
    Message,
    Page,
    Run,
    ToolCall,
    Why,
    WorkspaceFile,
)

_RUN = reads(Run)
_RUNS = reads(Page[Run])
_EVENTS = reads(Page[Event])
_MESSAGES = reads(Page[Message])
_CHECKPOINTS = reads(Page[Checkpoint])
_FILES = reads(Page[WorkspaceFile])
_DIFFERENCE = reads(FileDifference)
_CALLS = reads(Page[ToolCall])
_WHY = reads(Why)


def start(
    input: str,  # noqa: A002  the contract's word
    *,
    agent: str = "default",
    session: str | None = None,
    variables: Mapping[str, str] | None = None,
    limits: Mapping[str, Any] | None = None,
    wait_seconds: int | None = None,
    debug: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
) -> Call[Run]:
    """Start a run; it is durable when this returns.

    `debug` starts it with step mode or breakpoints; see `runs.debug`.

    With `wait_seconds` (at most 60) the answer is held until the run ends or the time is over.
    An idempotency key is made up when none is given, so a retry never starts a second run.
    """
    return Call(
        method="POST",
        path=in_workspace("runs"),
        body=body(
            agent=agent,
            input=input,
            session=session,
            variables=variables or None,
            limits=limits or None,
            wait=wait_seconds,
            debug=debug or None,
        ),
        read=_RUN,
        idempotency_key=idempotency_key or new_key(),
        timeout_seconds=wait_seconds + 15.0 if wait_seconds else None,
    )


def get(run_id: str) -> Call[Run]:
    return Call(method="GET", path=of_run(run_id), read=_RUN)


def listing(
    *,
    state: str | None = None,
    agent: str | None = None,
    session: str | None = None,
    parent: str | None = None,
    root: str | None = None,
    q: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    surface: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Run]]:
    """Runs, newest first."""
    return Call(
        method="GET",
        path=in_workspace("runs"),
        query=query(
            state=state,
            agent=agent,
            session=session,
            parent=parent,
            root=root,
            q=q,
            created_after=created_after,
            created_before=created_before,
            surface=surface,
            limit=limit,
            cursor=cursor,
        ),
        read=_RUNS,
    )


def messages(
    run_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Message]]:
    return Call(
        method="GET",
        path=of_run(run_id, "messages"),
        query=query(limit=limit, cursor=cursor),
        read=_MESSAGES,
    )


def checkpoints(
    run_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Checkpoint]]:
    return Call(
        method="GET",
        path=of_run(run_id, "checkpoints"),
        query=query(limit=limit, cursor=cursor),
        read=_CHECKPOINTS,
    )


def files(
    run_id: str, checkpoint: int, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[WorkspaceFile]]:
    """The files of the run's workspace at a checkpoint."""
    return Call(
        method="GET",
        path=of_run(run_id, "checkpoints", str(checkpoint), "files"),
        query=query(limit=limit, cursor=cursor),
        read=_FILES,
    )


def file_difference(
    run_id: str, checkpoint: int, *, since: int | None = None
) -> Call[FileDifference]:
    """What changed in the workspace between two checkpoints."""
    return Call(
        method="GET",
        path=of_run(run_id, "checkpoints", str(checkpoint), "files", "difference"),
        query=query(since=since),
        read=_DIFFERENCE,
    )


def tool_calls(
    run_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[ToolCall]]:
    return Call(
        method="GET",
        path=of_run(run_id, "tool-calls"),
        query=query(limit=limit, cursor=cursor),
        read=_CALLS,
    )


def children(
    run_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Run]]:
    return Call(
        method="GET",
        path=of_run(run_id, "children"),
        query=query(limit=limit, cursor=cursor),
        read=_RUNS,
    )


def events(
    run_id: str, *, after: int | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Event]]:
    return Call(
        method="GET",
        path=of_run(run_id, "events"),
        query=query(after=after, limit=limit, cursor=cursor),
        read=_EVENTS,
    )


def trace(run_id: str, *, form: str = "native") -> Call[str]:
    """The whole trace as JSON lines; `form` is native or legacy."""
    return Call(
        method="GET",
        path=of_run(run_id, "trace"),
        query=query(form=form),
        read=bytes.decode,
        timeout_seconds=120.0,
    )


def pause(run_id: str) -> Call[Run]:
    """Ask the run to stop at its next step. Raises `Conflict` when something else was first."""
    return Call(method="POST", path=of_run(run_id, "pause"), body={}, read=_RUN)


def resume(run_id: str, *, limits: Mapping[str, Any] | None = None) -> Call[Run]:
    """Let a paused or yielded run go on, with other limits if given."""
    return Call(
        method="POST",
        path=of_run(run_id, "resume"),
        body=body(limits=limits or None),
        read=_RUN,
    )


def cancel(run_id: str, *, reason: str | None = None) -> Call[Run]:
    """Cancel the run and all its children."""
    return Call(
        method="POST",
        path=of_run(run_id, "cancel"),
        body=body(reason=reason),
        read=_RUN,
    )


def fork(
    run_id: str,
    *,
    checkpoint: int | None = None,
    model: str | None = None,
    message: str | None = None,
    start: bool | None = None,
    idempotency_key: str = "",
) -> Call[Run]:
    """A new run from a checkpoint (default: the last), with another model or last user message."""
    return Call(
        method="POST",
        path=of_run(run_id, "fork"),
        body=body(checkpoint=checkpoint, model=model, message=message, start=start),
        read=_RUN,
        idempotency_key=idempotency_key or new_key(),
    )


def replay(run_id: str, *, idempotency_key: str = "") -> Call[Run]:
    """A new run that is answered from this finished run's record."""
    return Call(
        method="POST",
        path=of_run(run_id, "replay"),
        body={},
        read=_RUN,
        idempotency_key=idempotency_key or new_key(),
    )


def why(run_id: str) -> Call[Why]:
    return Call(method="GET", path=of_run(run_id, "why"), read=_WHY)
