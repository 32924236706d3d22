"""A provider that plays a script: for demos, tests, dry runs and load, without any vendor.

An answer depends on nothing but the script and the request, so a resumed or replayed run gets the
same words again. The one exception is a failure with `times`: how often it has happened is
remembered in this process, per run and place, in bounded memory.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator

from agents.contracts import (
    Completed,
    CompletionRequest,
    Delta,
    Message,
    Part,
    ProviderConfig,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResponsePart,
    Usage,
)
from agents.errors import ProviderError, ProviderRequestError
from agents.providers.history import tool_call
from agents.providers.script_language import (
    ERROR_KINDS,
    FOREVER,
    ScriptedCall,
    ScriptedFailure,
    Step,
    compile_script,
)
from agents.providers.script_template import render_value

_MAX_REMEMBERED_FAILURES = 10_000
_CHARS_PER_TOKEN = 4  # the rule of thumb behind usage that a script does not state
_WORDS = re.compile(r"\s*\S+\s*|\s+")


class ScriptedProvider:
    """A `Provider` whose model is a script. Costs microseconds an answer when no delay is asked."""

    def __init__(self, config: ProviderConfig) -> None:
        self._name = config.name or "scripted"
        self.script = compile_script(config.script)
        self._failed: OrderedDict[tuple[str, int, int], int] = OrderedDict()
        self._has_branch_conditions = any(branch.when for branch in self.script.branches)
        self._has_conditions = self._has_branch_conditions or any(
            branch.guarded for branch in self.script.branches
        )

    def __repr__(self) -> str:
        return f"ScriptedProvider({self._name!r}, digest={self.script.digest[:12]!r})"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        scene = _Scene(request)
        step = self._pick(scene)
        if step.delay_seconds:
            await asyncio.sleep(step.delay_seconds)
        text = "" if step.text is None else _rendered(step.text.fixed, step, scene)
        failure = step.failure
        fails = failure is not None and self._fails_now(failure, step, request)
        parts: list[Part] = []
        if step.reasoning is not None and not fails:
            thought = step.reasoning.render(scene.lookup)
            for piece in _pieces(thought, step):
                yield ReasoningDelta(piece)
                if step.chunk_seconds:
                    await asyncio.sleep(step.chunk_seconds)
            parts.append(ReasoningPart(thought))
        shown = text[: failure.after_chars] if fails and failure is not None else text
        for piece in _pieces(shown, step):
            yield TextDelta(piece)
            if step.chunk_seconds:
                await asyncio.sleep(step.chunk_seconds)
        if fails and failure is not None:
            raise self._error(failure, step)
        if text:
            parts.append(TextPart(text))
        if step.calls:
            calls = scene.calls(step.calls)
            for index, call in enumerate(calls):
                yield ToolCallDelta(index=index, id=call.id, name=call.name)
            parts.extend(calls)
        yield Completed(
            message=Message(role=Role.ASSISTANT, parts=tuple(parts)),
            usage=step.usage or _estimated(request, parts),
            finish=step.finish,
            model=request.model,
        )

    async def aclose(self) -> None:
        """Nothing is open."""

    def _pick(self, scene: "_Scene") -> Step:
        said, position = scene.said, scene.position
        agent = scene.request.agent
        last_tool = scene.last_tool if self._has_conditions else ""
        for branch in self.script.branches:
            when = branch.when
            if when is not None and not when.holds(
                said=said, step=position, last_tool=last_tool, agent=agent
            ):
                continue
            step = branch.pick(said=said, step=position, last_tool=last_tool, agent=agent)
            if step is not None:
                return step
            raise ProviderRequestError(
                f"The script of {self._name} has no answer number {position + 1} in the part that "
                f"begins at line {branch.line}.",
                remedy="Add a step there, or give the last one `repeat: forever`.",
            )
        raise ProviderRequestError(
            f"No branch of the script of {self._name} fits the input.",
            remedy="Add a last branch without `when`.",
        )

    def _fails_now(self, failure: ScriptedFailure, step: Step, request: CompletionRequest) -> bool:
        if failure.times == FOREVER:
            return True
        place = (request.run_id, len(request.messages), step.number)
        count = self._failed.get(place, 0)
        if count >= failure.times:
            return False
        self._failed[place] = count + 1
        if len(self._failed) > _MAX_REMEMBERED_FAILURES:
            self._failed.popitem(last=False)
        return True

    def _error(self, failure: ScriptedFailure, step: Step) -> ProviderError:
        said = failure.message or f"the script asks for this {failure.kind} error"
        return ERROR_KINDS[failure.kind](
            f"{self._name}: {said} (script, line {step.line}).",
            remedy="This failure is written in the provider's script.",
            retry_after_seconds=failure.retry_after_seconds,
        )


class _Scene:
    """What a script may know of a request, read from the end of its history."""

    __slots__ = ("_turn", "position", "request", "said")

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.position = 0
        self.said = ""
        messages = request.messages
        start = 0
        for index in range(len(messages) - 1, -1, -1):
            role = messages[index].role
            if role is Role.ASSISTANT:
                self.position += 1
            elif role is Role.USER:
                self.said = messages[index].text
                start = index + 1
                break
        self._turn = start

    @property
    def last_tool(self) -> str:
        for name, _ in self._results():
            return name
        return ""

    def lookup(self, name: str) -> str | None:
        """Return the value `${name}` stands for, None when a result is not there yet."""
        request = self.request
        match name:
            case "input":
                return self.said
            case "agent":
                return request.agent
            case "step":
                return str(self.position)
            case "model":
                return request.model
            case "tools":
                return ", ".join(tool.name for tool in request.tools)
            case "last_result":
                return next((text for _, text in self._results()), None)
        wanted = name.removeprefix("result:")
        return next((text for tool, text in self._results() if tool == wanted), None)

    def calls(self, scripted: tuple[ScriptedCall, ...]) -> list[ToolCallPart]:
        """Return the calls with ids that this history does not hold yet, the same every time."""
        messages = self.request.messages
        taken = {call.id for message in messages for call in message.tool_calls}
        made: list[ToolCallPart] = []
        for index, call in enumerate(scripted):
            call_id = f"call_{len(messages)}_{index}"
            while call_id in taken:  # possible only where history was shortened
                call_id += "_"
            if call.raw_arguments is not None:
                made.append(tool_call(call_id, call.name, call.raw_arguments.render(self.lookup)))
                continue
            arguments = call.arguments
            if call.has_templates:
                arguments = render_value(arguments, self.lookup)
            made.append(ToolCallPart(id=call_id, name=call.name, arguments=arguments))
        return made

    def _results(self) -> list[tuple[str, str]]:
        """Return (tool, text) of this turn's results, latest first."""
        turn = self.request.messages[self._turn :]
        names = {call.id: call.name for message in turn for call in message.tool_calls}
        return [
            (names.get(part.id, ""), part.result)
            for message in reversed(turn)
            for part in reversed(message.parts)
            if isinstance(part, ToolResponsePart)
        ]


def _rendered(fixed: str | None, step: Step, scene: _Scene) -> str:
    if fixed is not None or step.text is None:
        return fixed or ""
    return step.text.render(scene.lookup)


def _pieces(text: str, step: Step) -> list[str]:
    if step.chunk_chars:
        size = step.chunk_chars
        return [text[start : start + size] for start in range(0, len(text), size)]
    if step.chunk_seconds:
        return _WORDS.findall(text)
    return [text] if text else []


def _estimated(request: CompletionRequest, parts: list[Part]) -> Usage:
    asked = len(request.system)
    for message in request.messages:
        for part in message.parts:
            asked += _length(part)
    answered = sum(_length(part) for part in parts)
    return Usage(
        input_tokens=asked // _CHARS_PER_TOKEN, output_tokens=-(-answered // _CHARS_PER_TOKEN)
    )


def _length(part: Part) -> int:
    if isinstance(part, TextPart | ReasoningPart):
        return len(part.content)
    if isinstance(part, ToolResponsePart):
        return len(part.result)
    return len(part.name) + len(part.raw_arguments) + 40
