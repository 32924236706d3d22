"""Failures of models and runs.

    ProviderError               a vendor could not answer; sentence with the vendor's own message
      ProviderAuthError         key missing, wrong or without rights: do not retry
      ProviderRequestError      the vendor refused the request (400, unknown model): do not retry
      ProviderRateLimitError    429; carries retry_after_seconds when the vendor said so
      ProviderOverloadedError   5xx, overloaded: retry
      ProviderTimeoutError      nothing came within the time-out: retry
      ProviderConnectionError   refused, reset, cut in mid-stream: retry
      ProviderProtocolError     the answer was not what the protocol says: retry once
"""

from core.errors import ConflictError, DomainError


class ProviderError(DomainError):
    code = "provider_error"
    status = 502
    is_retryable = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        retry_after_seconds: float | None = None,
        vendor_status: int | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds
        self.vendor_status = vendor_status


class ProviderAuthError(ProviderError):
    code = "provider_auth"


class ProviderRequestError(ProviderError):
    code = "provider_request"


class ProviderRateLimitError(ProviderError):
    code = "provider_rate_limit"
    is_retryable = True


class ProviderOverloadedError(ProviderError):
    code = "provider_overloaded"
    is_retryable = True


class ProviderTimeoutError(ProviderError):
    code = "provider_timeout"
    is_retryable = True


class ProviderConnectionError(ProviderError):
    code = "provider_connection"
    is_retryable = True


class ProviderProtocolError(ProviderError):
    code = "provider_protocol"
    is_retryable = True


class SessionBusyError(ConflictError):
    code = "session_busy"


class ScriptError(DomainError):
    code = "script_invalid"
