"""What can go wrong when somebody reads or follows a trace."""

from core.errors import ConflictError, InvalidInputError


class CursorError(InvalidInputError):
    """The position a client wants to go on from cannot be used.

    Start from the beginning, or from the cursor of an event you have.
    """

    code = "invalid_cursor"


class UnknownKindError(InvalidInputError):
    """A filter names an event kind that does not exist.

    Use one of the kinds in the list of events.
    """

    code = "unknown_event_kind"


class TraceFormatError(InvalidInputError):
    """A line of a trace file is not a trace event.

    Mend the line the sentence names, or leave it out.
    """

    code = "invalid_trace"


class ProfileUnderwayError(ConflictError):
    """The process is being profiled already.

    Wait until that profile has ended, or choose another process.
    """

    code = "profile_underway"
