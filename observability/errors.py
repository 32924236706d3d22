"""What can go wrong when somebody reads or follows a trace."""

from core.errors import InvalidInputError


class CursorError(InvalidInputError):
    """The position a client wants to go on from cannot be used."""

    code = "invalid_cursor"


class UnknownKindError(InvalidInputError):
    """A filter names an event kind that does not exist."""

    code = "unknown_event_kind"


class TraceFormatError(InvalidInputError):
    """A line of a trace file is not a trace event."""

    code = "invalid_trace"
