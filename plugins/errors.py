"""Failures of tools.

ToolError               the call failed cleanly; the model sees the sentence
  UnknownToolError      no such tool in this run
  InvalidArgumentsError arguments do not fit the schema
  ToolDeniedError       policy or a person said no
OutcomeUnknownError     the effect may have happened; the call goes in doubt
"""

from core.errors import DomainError


class ToolError(DomainError):
    """The call failed cleanly and changed nothing more; the model is told the sentence.

    Nothing: the model decides what to do next.
    """

    code = "tool_failed"


class UnknownToolError(ToolError):
    """The run has no tool of this name.

    Add the tool to the agent's next version if it should have it.
    """

    code = "unknown_tool"


class InvalidArgumentsError(ToolError):
    """The arguments do not fit the tool's schema.

    Nothing: the model is told which places are wrong.
    """

    code = "invalid_arguments"


class ToolDeniedError(ToolError):
    """Policy or a person said no; nothing was done.

    Ask for the right, or let the agent do without.
    """

    code = "tool_denied"


class OutcomeUnknownError(DomainError):
    """The effect may have happened and nobody recorded how it ended; the call is in doubt.

    Look at the target, then resolve the call: it happened, it did not, or do it again.
    """

    code = "outcome_unknown"
    status = 502
