"""What the engine tells of runs, model calls and tool calls: counts, and spans where tracing is on.

Runs and tool calls are told once their end is durable, never before; a model call when it ended.
Names, counts and states only; messages, arguments and results go into spans where the site has
opted in, redacted, and nowhere else.
"""

import time
from collections.abc import Sequence

import msgspec

from agents.contracts import Message
from agents.engine.loop import ModelAnswered
from agents.execution.completion import Asked
from agents.execution.context import RunContext
from agents.journal.records import Progress
from agents.metrics import EndedRun, run_ended, run_errors
from agents.snapshot import PinnedModel
from agents.transitions import TERMINAL
from core import clock, tracing
from core.ids import made_at
from core.metrics import instruments as figures
from core.redaction import redact_or_withhold
from core.tracing import Place, Span, Value
from core.tracing import conventions as name
from core.tracing.durable import call_place
from plugins.dispatch import PlannedCall, Settlement

MOST_PAYLOAD_CHARS = 32_000


def run_claimed(context: RunContext) -> None:
    figures.RUNS_CLAIMED.add(1)
    if context.fence == 1:
        waited = clock.now().timestamp() - made_at(context.run_id)
        figures.RUN_QUEUE_SECONDS.observe(max(waited, 0.0))


def run_released(context: RunContext, progress: Progress, *, began_ns: int) -> None:
    """Tell that a worker let go of its run; `began_ns` is when it took it up."""
    run_errors(progress.error_code)
    if tracing.is_on():
        run = context.place
        _tell(
            "drive", run.child(), run, began_ns=began_ns, ended_ns=time.time_ns(), attributes={
                name.RUN_ID: str(context.run_id), name.RUN_FENCE: context.fence,
                name.RUN_STATE: progress.state, name.WORKER: figures.RECORDER.process,
            },
        )  # fmt: skip
    if progress.state not in TERMINAL:
        return
    first = context.snapshot.models[0]
    more: dict[str, Value] = {
        name.PROVIDER_NAME: _vendor(first),
        name.REQUEST_MODEL: first.vendor_name,
        name.USAGE_INPUT_TOKENS: progress.input_tokens,
        name.USAGE_OUTPUT_TOKENS: progress.output_tokens,
        name.COST_USD: float(progress.cost_usd),
    }
    if context.session_id is not None:
        more[name.CONVERSATION_ID] = str(context.session_id)
    run_ended(
        EndedRun(
            id=context.run_id,
            workspace_id=context.workspace_id,
            agent_name=context.agent,
            state=progress.state,
            error_code=progress.error_code,
            depth=context.depth,
            root_id=context.root_id,
            parent_call_id=context.parent_call_id,
            trace_parent=context.trace_parent,
        ),
        more,
    )


def model_asked(
    context: RunContext, asked: Asked, history: Sequence[Message], *, began_ns: int
) -> None:
    """Tell of a model call that was answered or failed. A replayed answer is none."""
    if context.recorded is not None:
        return
    event, model = asked.event, asked.model
    if isinstance(event, ModelAnswered):
        usage = event.usage
        figures.MODEL_CALLS.add(1, model, "answered")
        figures.TOKENS.add(usage.input_tokens, context.agent, model, "input")
        figures.TOKENS.add(usage.output_tokens, context.agent, model, "output")
        if usage.cache_read_tokens:
            figures.TOKENS.add(usage.cache_read_tokens, context.agent, model, "cache_read")
        if event.cost_usd is None:
            figures.MODEL_UNPRICED.add(1, model)
        else:
            figures.COST_USD.add(float(event.cost_usd), context.agent, model)
    else:
        figures.MODEL_CALLS.add(1, model, "failed")
    figures.MODEL_SECONDS.observe(asked.duration_seconds, model)
    if tracing.is_on():
        _tell_chat(context, asked, history, began_ns)


def _tell_chat(
    context: RunContext, asked: Asked, history: Sequence[Message], began_ns: int
) -> None:
    event, models = asked.event, context.snapshot.models
    pinned = next((m for m in models if asked.model in {m.vendor_name, m.name}), models[0])
    options = context.snapshot.options
    attributes: dict[str, Value] = {
        name.OPERATION_NAME: name.CHAT,
        name.PROVIDER_NAME: _vendor(pinned),
        name.REQUEST_MODEL: models[0].vendor_name,
        name.AGENT_NAME: context.agent,
        name.RUN_ID: str(context.run_id),
    }
    if options.temperature is not None:
        attributes[name.REQUEST_TEMPERATURE] = options.temperature
    if options.max_output_tokens is not None:
        attributes[name.REQUEST_MAX_TOKENS] = options.max_output_tokens
    error = ""
    if isinstance(event, ModelAnswered):
        attributes |= {
            name.RESPONSE_MODEL: asked.model,
            name.RESPONSE_FINISH_REASONS: [event.finish.value],
            name.USAGE_INPUT_TOKENS: event.usage.input_tokens,
            name.USAGE_OUTPUT_TOKENS: event.usage.output_tokens,
            name.USAGE_CACHE_READ_TOKENS: event.usage.cache_read_tokens,
            name.USAGE_CACHE_CREATION_TOKENS: event.usage.cache_write_tokens,
        }
        if event.cost_usd is not None:
            attributes[name.COST_USD] = float(event.cost_usd)
        if tracing.shows_payloads():
            attributes[name.INPUT_MESSAGES] = _payload(list(history))
            attributes[name.OUTPUT_MESSAGES] = _payload([event.message])
    else:
        error = event.code
        attributes[name.ERROR_TYPE] = error
    run = context.place
    _tell(
        f"{name.CHAT} {models[0].vendor_name}",
        run.child(),
        run,
        kind="client",
        began_ns=began_ns,
        ended_ns=began_ns + int(asked.duration_seconds * 1e9),
        attributes=attributes,
        error=error,
    )


def call_settled(context: RunContext, call: PlannedCall, settlement: Settlement) -> None:
    """Tell of a tool call that has its outcome, whichever worker began it."""
    if not tracing.is_on() or context.recorded is not None:
        return
    run = context.place
    attributes: dict[str, Value] = {
        name.OPERATION_NAME: name.EXECUTE_TOOL,
        name.TOOL_NAME: call.request.tool,
        name.TOOL_TYPE: "function",
        name.TOOL_CALL_ID: call.request.provider_call_id,
        name.TOOL_STATE: settlement.state.value,
        name.TOOL_EFFECT: call.effect.value,
        name.AGENT_NAME: context.agent,
        name.RUN_ID: str(context.run_id),
    }
    error = settlement.state.value if settlement.is_error else ""
    if error:
        attributes[name.ERROR_TYPE] = error
    if tracing.shows_payloads():
        attributes[name.TOOL_CALL_ARGUMENTS] = _payload(call.arguments)
        attributes[name.TOOL_CALL_RESULT] = _payload(settlement.text)
    _tell(
        f"{name.EXECUTE_TOOL} {call.request.tool}",
        call_place(run, call.id),
        run,
        began_ns=int(made_at(call.id) * 1e9),
        ended_ns=time.time_ns(),
        attributes=attributes,
        error=error,
    )


def _vendor(model: PinnedModel) -> str:
    return name.PROVIDERS.get(model.provider_kind, f"agentry.{model.provider_kind}")


def _payload(value: object) -> str:
    """Return a value as redacted text of bounded length."""
    plain = redact_or_withhold(msgspec.to_builtins(value))
    text = msgspec.json.encode(plain).decode()
    if len(text) > MOST_PAYLOAD_CHARS:
        return f"{text[:MOST_PAYLOAD_CHARS]}… ({len(text)} characters)"
    return text


def _tell(
    title: str,
    place: Place,
    parent: Place | None,
    *,
    began_ns: int,
    ended_ns: int,
    attributes: dict[str, Value],
    kind: str = "internal",
    error: str = "",
) -> None:
    tracing.tell(
        Span(
            name=title,
            place=place,
            parent=parent,
            kind=kind,
            began_ns=began_ns,
            ended_ns=ended_ns,
            attributes=attributes,
            error=error,
        )
    )
