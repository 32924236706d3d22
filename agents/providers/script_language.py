"""The language of scripts: what a script may say, compiled once into steps ready to be answered.

    steps:                                  # or branches: [{when, steps}, …]
      - when: {contains: weather, step: 0}
        text: "I shall look."
        tool_calls: [{name: weather, arguments: {city: "${input}"}}]
      - when: {last_tool: weather}
        text: "It is ${last_result.sky}."

The reference for people is docs/reference/scripted-provider.md.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agents.contracts import FinishReason, Usage
from agents.errors import (
    ProviderAuthError,
    ProviderConnectionError,
    ProviderError,
    ProviderOverloadedError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderTimeoutError,
)
from agents.providers.script_reader import Placed, read_script
from agents.providers.script_template import Template, compile_value

DEFAULT_SCRIPT = """\
steps:
  - text: "You said: ${input}. This is the built-in script; give the provider one of your own."
"""

MAX_DELAY_MS = 3_600_000
FOREVER = 1_000_000_000

ERROR_KINDS: Mapping[str, type[ProviderError]] = {
    "rate_limit": ProviderRateLimitError,
    "overloaded": ProviderOverloadedError,
    "timeout": ProviderTimeoutError,
    "connection": ProviderConnectionError,
    "protocol": ProviderProtocolError,
    "auth": ProviderAuthError,
    "request": ProviderRequestError,
}

_PACE_KEYS = ("delay_ms", "chunk_ms", "chunk_chars")
_STEP_KEYS = (
    *("when", "reasoning", "text", "tool_calls", "finish", "error", "usage", "repeat"),
    *_PACE_KEYS,
)
_WHEN_KEYS = ("contains", "equals", "step", "last_tool", "agent")
_USAGE_KEYS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    "reasoning_tokens",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """All that is given must hold; `contains` compares without regard to case."""

    contains: tuple[str, ...] = ()
    equals: str | None = None
    step: int | None = None
    last_tool: str | None = None
    agent: str | None = None

    def holds(self, *, said: str, step: int, last_tool: str, agent: str) -> bool:
        return (
            (self.step is None or self.step == step)
            and (self.agent is None or self.agent == agent)
            and (self.last_tool is None or self.last_tool == last_tool)
            and (self.equals is None or self.equals == said.strip())
            and (not self.contains or any(text in said.casefold() for text in self.contains))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    name: str
    arguments: Any  # plain data, or a Template where `has_templates`
    has_templates: bool
    raw_arguments: Template | None  # instead of arguments: what the "model" sends, valid or not


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedFailure:
    kind: str
    message: str
    retry_after_seconds: float | None
    times: int  # how often in this process before the step answers; FOREVER when not given
    after_chars: int  # how much of the text streams before the failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    number: int  # place in the whole script, for counting failures
    line: int
    when: Condition | None
    reasoning: Template | None
    text: Template | None
    calls: tuple[ScriptedCall, ...]
    finish: FinishReason
    failure: ScriptedFailure | None
    usage: Usage | None
    repeat: int
    delay_seconds: float
    chunk_seconds: float
    chunk_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    line: int
    when: Condition | None
    guarded: tuple[Step, ...]
    ordered: tuple[Step, ...]

    def pick(self, *, said: str, step: int, last_tool: str, agent: str) -> Step | None:
        """Return the first guarded step that holds, else the one whose turn it is."""
        for guarded in self.guarded:
            when = guarded.when
            if when and when.holds(said=said, step=step, last_tool=last_tool, agent=agent):
                return guarded
        place = 0
        for ordered in self.ordered:
            place += ordered.repeat
            if step < place:
                return ordered
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    digest: str
    branches: tuple[Branch, ...]
    can_fail: bool


def compile_script(text: str) -> Script:
    """Return the compiled script, from memory when the same text was compiled before.

    An empty text is the default script. Raises ScriptError with line, column and remedy.
    """
    return _compile(text if text.strip() else DEFAULT_SCRIPT)


@lru_cache(maxsize=256)
def _compile(text: str) -> Script:
    root = read_script(text)
    keys = root.mapping("the script", ("steps", "branches", *_PACE_KEYS))
    if ("steps" in keys) == ("branches" in keys):
        raise root.error("a script has either `steps` or `branches`", "Write one of the two.")
    compiler = _Compiler(keys)
    if "steps" in keys:
        branches = [compiler.branch(root, None, keys["steps"])]
    else:
        branches = [
            compiler.guarded_branch(entry) for entry in keys["branches"].items("`branches`")
        ]
        if not branches:
            raise keys["branches"].error("`branches` is empty", "Write at least one branch.")
    return Script(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        branches=tuple(branches),
        can_fail=compiler.can_fail,
    )


class _Compiler:
    def __init__(self, pace: Mapping[str, Placed]) -> None:
        self._pace = pace
        self._steps = 0
        self.can_fail = False

    def guarded_branch(self, entry: Placed) -> Branch:
        keys = entry.mapping("a branch", ("when", "steps"))
        if "steps" not in keys:
            raise entry.error("this branch has no `steps`", "Add `steps:` with a list.")
        when = _condition(keys["when"]) if "when" in keys else None
        return self.branch(entry, when, keys["steps"])

    def branch(self, place: Placed, when: Condition | None, steps: Placed) -> Branch:
        compiled = [self._step(entry) for entry in steps.items("`steps`")]
        if not compiled:
            raise steps.error("`steps` is empty", "Write at least one step.")
        return Branch(
            line=place.line,
            when=when,
            guarded=tuple(step for step in compiled if step.when is not None),
            ordered=tuple(step for step in compiled if step.when is None),
        )

    def _step(self, entry: Placed) -> Step:
        keys = entry.mapping("a step", _STEP_KEYS)
        calls = keys["tool_calls"].items("`tool_calls`") if "tool_calls" in keys else []
        failure = _failure(keys["error"]) if "error" in keys else None
        has_answer = "text" in keys or bool(calls) or "reasoning" in keys
        if not has_answer and failure is None:
            raise entry.error("this step says nothing", "Give it text, tool_calls or error.")
        if not has_answer and failure is not None and failure.times != FOREVER:
            what = "this step fails a number of `times` and then has no answer"
            raise entry.error(what, "Add text or tool_calls, or remove `times`.")
        if "when" in keys and "repeat" in keys:
            what = "`repeat` has no meaning beside `when`, which holds as often as it does"
            raise keys["repeat"].error(what, "Remove one of the two.")
        self.can_fail = self.can_fail or failure is not None
        self._steps += 1
        pace = {**self._pace, **keys}
        return Step(
            number=self._steps,
            line=entry.line,
            when=_condition(keys["when"]) if "when" in keys else None,
            reasoning=_template(keys, "reasoning"),
            text=_template(keys, "text"),
            calls=tuple(_call(call) for call in calls),
            finish=_finish(keys, has_calls=bool(calls)),
            failure=failure,
            usage=_usage(keys["usage"]) if "usage" in keys else None,
            repeat=_repeat(keys),
            delay_seconds=_milliseconds(pace, "delay_ms"),
            chunk_seconds=_milliseconds(pace, "chunk_ms"),
            chunk_chars=(
                pace["chunk_chars"].whole("`chunk_chars`", top=1_000_000)
                if "chunk_chars" in pace
                else 0
            ),
        )


def _condition(place: Placed) -> Condition:
    keys = place.mapping("`when`", _WHEN_KEYS)
    if not keys:
        raise place.error("`when` is empty", f"Use one of: {', '.join(_WHEN_KEYS)}.")
    contains: tuple[str, ...] = ()
    if "contains" in keys:
        held = keys["contains"]
        entries = held.value if isinstance(held.value, list) else [held]
        contains = tuple(str(_word(entry, "`contains`")).casefold() for entry in entries)
        if not contains:
            raise held.error("`contains` is empty", "Give a text or a list of texts.")
    return Condition(
        contains=contains,
        equals=_word(keys["equals"], "`equals`").strip() if "equals" in keys else None,
        step=keys["step"].whole("`step`", top=1_000_000) if "step" in keys else None,
        last_tool=keys["last_tool"].text("`last_tool`") if "last_tool" in keys else None,
        agent=keys["agent"].text("`agent`") if "agent" in keys else None,
    )


def _word(place: Placed, what: str) -> str:
    if isinstance(place.value, int | float) and not isinstance(place.value, bool):
        return str(place.value)
    return place.text(what)


def _template(keys: Mapping[str, Placed], key: str) -> Template | None:
    if key not in keys:
        return None
    compiled, _ = compile_value(keys[key], keys[key].text(f"`{key}`"))
    return compiled if isinstance(compiled, Template) else Template((str(compiled),))


def _call(place: Placed) -> ScriptedCall:
    keys = place.mapping("a tool call", ("name", "arguments", "raw_arguments"))
    if "name" not in keys:
        raise place.error("this tool call has no `name`", "Add the name of the tool.")
    if "arguments" in keys and "raw_arguments" in keys:
        raise place.error("a call has `arguments` or `raw_arguments`", "Remove one of the two.")
    arguments: Any = {}
    has_templates = False
    if "arguments" in keys:
        held = keys["arguments"]
        if not isinstance(held.value, dict):
            raise held.error("`arguments` must be a mapping", "Write `argument: value` lines.")
        arguments, has_templates = compile_value(held, held.plain())
    return ScriptedCall(
        name=keys["name"].text("`name`"),
        arguments=arguments,
        has_templates=has_templates,
        raw_arguments=_template(keys, "raw_arguments"),
    )


def _failure(place: Placed) -> ScriptedFailure:
    keys = place.mapping(
        "`error`", ("kind", "message", "retry_after_seconds", "times", "after_chars")
    )
    if "kind" not in keys:
        raise place.error("`error` has no `kind`", f"One of: {', '.join(ERROR_KINDS)}.")
    kind = keys["kind"].text("`kind`")
    if kind not in ERROR_KINDS:
        raise keys["kind"].error(
            f"no error kind `{kind[:60]}`", f"One of: {', '.join(ERROR_KINDS)}."
        )
    wait = keys.get("retry_after_seconds")
    return ScriptedFailure(
        kind=kind,
        message=keys["message"].text("`message`") if "message" in keys else "",
        retry_after_seconds=wait.number("`retry_after_seconds`", top=86_400) if wait else None,
        times=keys["times"].whole("`times`", top=1_000_000) if "times" in keys else FOREVER,
        after_chars=(
            keys["after_chars"].whole("`after_chars`", top=1_000_000)
            if "after_chars" in keys
            else 0
        ),
    )


def _finish(keys: Mapping[str, Placed], *, has_calls: bool) -> FinishReason:
    if "finish" not in keys:
        return FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP
    word = keys["finish"].text("`finish`")
    try:
        return FinishReason(word)
    except ValueError:
        known = ", ".join(reason.value for reason in FinishReason)
        raise keys["finish"].error(f"no finish `{word[:60]}`", f"One of: {known}.") from None


def _usage(place: Placed) -> Usage:
    keys = place.mapping("`usage`", _USAGE_KEYS)
    return Usage(**{key: held.whole(f"`{key}`", top=10**12) for key, held in keys.items()})


def _repeat(keys: Mapping[str, Placed]) -> int:
    if "repeat" not in keys:
        return 1
    if keys["repeat"].value == "forever":
        return FOREVER
    count = keys["repeat"].whole("`repeat`", top=1_000_000)
    if count < 1:
        raise keys["repeat"].error("`repeat` must be at least 1", "Give a count or `forever`.")
    return count


def _milliseconds(pace: Mapping[str, Placed], key: str) -> float:
    return pace[key].number(f"`{key}`", top=MAX_DELAY_MS) / 1000 if key in pace else 0.0
