"""Failures of tools.

    ToolError               the call failed cleanly; the model sees the sentence
      UnknownToolError      no such tool in this run
      InvalidArgumentsError arguments do not fit the schema
      ToolDeniedError       policy or a person said no
    OutcomeUnknownError     the effect may have happened; the call goes in doubt
"""

from core.errors import DomainError


class ToolError(DomainError):
    code = "tool_failed"


class UnknownToolError(ToolError):
    code = "unknown_tool"


class InvalidArgumentsError(ToolError):
    code = "invalid_arguments"


class ToolDeniedError(ToolError):
    code = "tool_denied"


class OutcomeUnknownError(DomainError):
    code = "outcome_unknown"
    status = 502
