"""Exit codes: what a script can tell from how a command ended."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    FORBIDDEN = 3
    NOT_FOUND = 4
    CONFLICT = 5
    UNREACHABLE = 6
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "Done; a run that was waited for succeeded.",
    ExitCode.RUN_FAILED: "The run failed, was cancelled or yielded; a check of `doctor` failed; "
    "`audit verify` found a break; `policy test` a case that does not hold; "
    "`channels test` a message that did not get through.",
    ExitCode.USAGE: "The command, a file or its content is wrong; nothing was changed.",
    ExitCode.FORBIDDEN: "Not signed in, or not allowed.",
    ExitCode.NOT_FOUND: "No such thing, or not visible to you.",
    ExitCode.CONFLICT: "Contradicts something stored, or somebody else was first.",
    ExitCode.UNREACHABLE: "The server cannot be reached, failed, or asks to come back later.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C; a run that was watched goes on.",
}


def exit_code_of(error: Exception) -> ExitCode:
    """The code for an `AgentryError`."""
    from agentry.client import errors

    kinds: tuple[tuple[type[Exception], ExitCode], ...] = (
        (errors.NotAuthenticated, ExitCode.FORBIDDEN),
        (errors.Forbidden, ExitCode.FORBIDDEN),
        (errors.NotFound, ExitCode.NOT_FOUND),
        (errors.Conflict, ExitCode.CONFLICT),
        (errors.RateLimited, ExitCode.UNREACHABLE),
        (errors.ServerError, ExitCode.UNREACHABLE),
        (errors.ConnectionFailed, ExitCode.UNREACHABLE),
        (errors.UnexpectedReply, ExitCode.UNREACHABLE),
        (errors.WaitTimeout, ExitCode.RUN_FAILED),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), ExitCode.USAGE)
