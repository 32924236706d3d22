"""Why a connection ends before its time.

GatewayError            base: a sentence for the record and a status for who asked
  RefusedError          the rules do not allow it; nothing left the machine for it
  MessageError          what was sent is no plain HTTP/1.1; refused as well
  FailedError           it was allowed and the other end did not do its part
"""


class GatewayError(Exception):
    status = 502
    is_allowed = True

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status or self.status


class RefusedError(GatewayError):
    status = 403
    is_allowed = False


class MessageError(GatewayError):
    status = 400
    is_allowed = False


class FailedError(GatewayError):
    """See the module."""
