"""A declared command as a tool: its calls are programs in a sandbox."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from core.errors import InvalidInputError
from plugins.commands.definition import CommandDefinition
from plugins.commands.output import readable, result_of
from plugins.commands.places import ENVIRONMENT, WAITING_SECONDS, sandbox_of
from plugins.contracts import (
    PlanResult,
    ProbeAnswer,
    ProbeResult,
    ToolContext,
    ToolResult,
    ToolSpec,
)
from plugins.errors import InvalidArgumentsError, OutcomeUnknownError, ToolError
from sandbox.contracts import Command, Ended, HostCredential, Outcome
from sandbox.site import planning

MAX_COMMAND_BYTES = 100_000
# Longer values are in the JSON on standard input only: the kernel bounds an environment.
MAX_VARIABLE_BYTES = 64 * 1024
MAX_ENVIRONMENT_BYTES = 512 * 1024
_MAX_DIFFERENCE_CHARACTERS = 100_000
_MAX_SUMMARY_CHARACTERS = 1_000
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_OUTSIDE_NAMES = re.compile(r"[^A-Za-z0-9]+")


class _ProbeBody(msgspec.Struct, frozen=True):
    happened: bool
    result: Any = None


class _PlanBody(msgspec.Struct, frozen=True):
    summary: str
    difference: str = ""
    counts: dict[str, int] = {}
    cost_usd: Decimal | None = None


class CommandTool:
    """Runs the command a definition names, once for each call.

    Raises `InvalidInputError` when the definition cannot work.
    """

    def __init__(self, definition: CommandDefinition) -> None:
        _check(definition)
        self._definition = definition
        self._profile = definition.profile()
        self.spec = ToolSpec(
            name=definition.name,
            description=definition.description,
            input_schema=definition.input_schema,
            effect=definition.effect,
            privileged=definition.privileged,
            timeout_seconds=definition.timeout_seconds + WAITING_SECONDS,
            max_result_bytes=definition.max_result_bytes,
            version=definition.version,
            output_schema=definition.output_schema,
            sandbox=self._profile,
            secrets=definition.secret_names,
            can_plan=bool(definition.plan_command),
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Run it. Where an output schema is declared, standard output is the result."""
        sandbox = sandbox_of(context, self.spec.name)
        values = await self._secrets(context)
        files = self._files(values)
        command = _command(self._definition.command, arguments, context, secrets=files)
        outcome = await sandbox.run(self._profile, command, credentials=self._credentials(values))
        if self.spec.output_schema is None or not _is_well(outcome):
            return result_of(outcome)
        return ToolResult(text=outcome.stdout.decode("utf-8", "replace").strip())

    async def probe(self, idempotency_key: str, context: ToolContext) -> ProbeResult:
        """Ask whether the effect with this key happened; every doubt is `unknown`."""
        unknown = ProbeResult(answer=ProbeAnswer.UNKNOWN)
        if not self._definition.probe_command:
            return unknown
        sandbox = sandbox_of(context, self.spec.name)
        values = await self._secrets(context)
        files = self._files(values)
        command = _command(self._definition.probe_command, {}, context, secrets=files)
        credentials = self._credentials(values)
        try:
            outcome = await sandbox.run(self._profile, command, credentials=credentials)
        except (ToolError, OutcomeUnknownError):
            return unknown  # not to be asked now is one of the doubts
        if not _is_well(outcome):
            return unknown
        try:
            body = msgspec.json.decode(outcome.stdout, type=_ProbeBody)
        except msgspec.MsgspecError:
            return unknown
        if not body.happened:
            return ProbeResult(answer=ProbeAnswer.NOT_HAPPENED)
        text = body.result if isinstance(body.result, str) else _json(body.result)
        return ProbeResult(answer=ProbeAnswer.HAPPENED, result=ToolResult(text=text))

    async def plan(self, arguments: Mapping[str, Any], context: ToolContext) -> PlanResult:
        """Say what a call would change. It cannot change anything itself."""
        sandbox = sandbox_of(context, self.spec.name)
        command = _command(self._definition.plan_command, arguments, context, secrets={})
        outcome = await sandbox.run(planning(self._profile), command)
        if not _is_well(outcome):
            raise ToolError(f"The plan of {self.spec.name} failed: {result_of(outcome).text}")
        return _planned(outcome)

    async def _secrets(self, context: ToolContext) -> dict[str, str]:
        names = self.spec.secrets
        if not names:
            return {}
        if context.secrets is None:
            raise ToolError(
                f"{self.spec.name} needs the secrets {', '.join(names)}, and this process has none."
            )
        return {name: await context.secrets.read(name) for name in names}

    def _files(self, values: Mapping[str, str]) -> dict[str, bytes]:
        return {name: values[name].encode() for name in self._definition.secret_files}

    def _credentials(self, values: Mapping[str, str]) -> tuple[HostCredential, ...]:
        for each in self._definition.host_secrets:
            if not _HEADER_VALUE.fullmatch(values[each.name]):
                raise ToolError(
                    f"The secret {each.name!r} cannot be sent in a header to {each.host}.",
                    remedy="An administrator must set it to one line of visible ASCII characters.",
                )
        return tuple(each.credential(values[each.name]) for each in self._definition.host_secrets)


def variables_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments as environment variables: texts as they are, all else as JSON.

    Raises:
        InvalidArgumentsError: Two names make the same variable, or a text holds a NUL character.
    """
    whole = _json(dict(arguments))
    found = {"AGENTRY_ARGUMENTS": whole} if _fits(whole) else {}
    left = MAX_ENVIRONMENT_BYTES
    seen: dict[str, str] = {}
    for name, value in arguments.items():
        variable = variable_of(name)
        if variable in seen:
            raise InvalidArgumentsError(
                f"The arguments {seen[variable]!r} and {name!r} are both the variable {variable}."
            )
        seen[variable] = name
        text = value if isinstance(value, str) else _json(value)
        if "\0" in text:
            raise InvalidArgumentsError(f"The argument {name!r} holds a NUL character.")
        left -= len(text.encode("utf-8", "replace"))
        if _fits(text) and left > 0:
            found[variable] = text
    return found


def variable_of(name: str) -> str:
    """Return the name of the environment variable that carries an argument."""
    return f"ARG_{_OUTSIDE_NAMES.sub('_', name).upper()}"


def _command(
    script: str, arguments: Mapping[str, Any], context: ToolContext, *, secrets: dict[str, bytes]
) -> Command:
    return Command(
        argv=("sh", "-c", script),
        stdin=_json(dict(arguments)).encode(),
        env={
            **variables_of(arguments),
            **ENVIRONMENT,
            "AGENTRY_RUN": str(context.run_id),
            "AGENTRY_IDEMPOTENCY_KEY": context.idempotency_key,
            "AGENTRY_ATTEMPT": str(context.attempt),
        },
        secrets=secrets,
    )


def _is_well(outcome: Outcome) -> bool:
    return outcome.ended_by is Ended.EXIT and outcome.exit_code == 0 and not outcome.is_truncated


def _planned(outcome: Outcome) -> PlanResult:
    try:
        body = msgspec.json.decode(outcome.stdout, type=_PlanBody)
    except msgspec.MsgspecError:
        text = readable(outcome.stdout).strip()
        summary = text.splitlines()[0] if text else "It would change nothing it could name."
        body = _PlanBody(summary=summary, difference=text)
    return PlanResult(
        summary=body.summary[:_MAX_SUMMARY_CHARACTERS],
        difference=body.difference[:_MAX_DIFFERENCE_CHARACTERS],
        counts=body.counts,
        cost_usd=body.cost_usd,
    )


def _check(definition: CommandDefinition) -> None:
    scripts = {
        "command": definition.command,
        "probe_command": definition.probe_command,
        "plan_command": definition.plan_command,
    }
    for field, script in scripts.items():
        if "\0" in script or len(script.encode("utf-8", "replace")) > MAX_COMMAND_BYTES:
            told = f"Has a NUL character, or more than {MAX_COMMAND_BYTES} bytes."
            raise InvalidInputError(
                f"The tool {definition.name}: {field}: {told}", fields={field: [told]}
            )
    if not definition.command.strip():
        raise InvalidInputError(
            f"The tool {definition.name} has no command.",
            fields={"command": ["Give the shell text to run."]},
        )


def _fits(text: str) -> bool:
    return len(text.encode("utf-8", "replace")) <= MAX_VARIABLE_BYTES


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
