"""`bash`, `sh` and `python`: programs a model wrote, in a sandbox without network.

Their effect is irreversible. Nothing leaves the workspace, but a script that ran half-way (it may
append, move, delete) must not run again over what it left: after a crash the call is in doubt, and
a person looks at the workspace. They are not privileged: the sandbox is what makes them safe.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agents.tools.arguments import Arguments, decode, schema_of
from plugins.commands.output import result_of
from plugins.commands.places import ENVIRONMENT, WAITING_SECONDS, place_of, sandbox_of
from plugins.contracts import EffectClass, ToolContext, ToolResult, ToolSpec
from plugins.errors import InvalidArgumentsError
from sandbox.contracts import Command
from sandbox.site import PROGRAMS

# The kernel takes no longer word on a command line (MAX_ARG_STRLEN), its end included.
_MAX_WORD_BYTES = 128 * 1024 - 1
_MAX_SECONDS = PROGRAMS.limits.wall_seconds

Seconds = Annotated[
    float,
    Meta(gt=0, le=_MAX_SECONDS, description="It is ended after so many seconds."),
]
Folder = Annotated[
    str,
    Meta(max_length=4000, description="Folder to start in, relative to the workspace."),
]


class Streams(StrEnum):
    COMBINED = "combined"
    SEPARATE = "separate"


class ShellArguments(Arguments, frozen=True, kw_only=True):
    command: Annotated[str, Meta(min_length=1, max_length=100_000, description="Shell script.")]
    timeout_seconds: Seconds = 60.0
    cwd: Folder = "."
    output: Annotated[
        Streams, Meta(description="Standard output and error in one, in order, or apart.")
    ] = Streams.COMBINED


class PythonArguments(Arguments, frozen=True, kw_only=True):
    code: Annotated[str, Meta(min_length=1, max_length=100_000, description="Python 3 program.")]
    timeout_seconds: Seconds = 60.0
    cwd: Folder = "."
    output: Annotated[
        Streams, Meta(description="Standard output and error in one, in order, or apart.")
    ] = Streams.COMBINED


class ShellTool:
    """`bash` and `sh`, by the program they run."""

    def __init__(self, shell: str) -> None:
        self.spec = _spec(
            shell,
            f"Run a script with {shell} in the workspace, in a sandbox without network. Files stay "
            "from one call to the next; processes and variables do not. The answer has the exit "
            "code and what was written.",
            ShellArguments,
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        name = self.spec.name
        wanted = decode(ShellArguments, arguments, name)
        return await _run(self.spec, (name, "-c", wanted.command), wanted, context)


class PythonTool:
    """`python`: the Python 3 of the sandbox."""

    def __init__(self) -> None:
        self.spec = _spec(
            "python",
            "Run a Python 3 program in the workspace, in a sandbox without network. Files stay "
            "from one call to the next; processes and variables do not. The answer has the exit "
            "code and what was printed.",
            PythonArguments,
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(PythonArguments, arguments, "python")
        return await _run(self.spec, ("python3", "-c", wanted.code), wanted, context)


def _spec(name: str, description: str, record: type[msgspec.Struct]) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=description,
        input_schema=schema_of(record),
        effect=EffectClass.IRREVERSIBLE,
        timeout_seconds=_MAX_SECONDS + WAITING_SECONDS,
        sandbox=PROGRAMS,
    )


async def _run(
    spec: ToolSpec,
    argv: tuple[str, ...],
    wanted: ShellArguments | PythonArguments,
    context: ToolContext,
) -> ToolResult:
    sandbox = sandbox_of(context, spec.name)
    if wanted.output is Streams.COMBINED:
        argv = ("sh", "-c", 'exec "$@" 2>&1', "sh", *argv)
    if "\0" in argv[-1] or len(argv[-1].encode("utf-8", "surrogatepass")) > _MAX_WORD_BYTES:
        raise InvalidArgumentsError(
            f"{spec.name} takes at most {_MAX_WORD_BYTES} bytes without NUL characters.",
            remedy="Write the program into a file first and run that.",
        )
    command = Command(
        argv=argv,
        env=ENVIRONMENT,
        cwd=place_of(wanted.cwd),
        wall_seconds=wanted.timeout_seconds,
    )
    return result_of(await sandbox.run(PROGRAMS, command))
