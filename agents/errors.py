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
    """A vendor could not answer; the sentence has the vendor's own words.

    Read what the vendor said; the sentence ends with what to do.
    """

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
    """The provider's key is missing, wrong or without rights.

    Store a working key with the provider, then resume or fork the run.
    """

    code = "provider_auth"


class ProviderRequestError(ProviderError):
    """The vendor refused the request itself, such as an unknown model.

    Correct the model's name or settings; the same request will be refused again.
    """

    code = "provider_request"


class ProviderRateLimitError(ProviderError):
    """The vendor says that it is asked too often.

    Nothing at first: it is asked again after the time it names. Lower the provider's
    concurrency if it persists.
    """

    code = "provider_rate_limit"
    is_retryable = True


class ProviderOverloadedError(ProviderError):
    """The vendor is overloaded or broken for the moment.

    Nothing at first: it is asked again, then the model's fallback. Name a fallback if it has
    none.
    """

    code = "provider_overloaded"
    is_retryable = True


class ProviderTimeoutError(ProviderError):
    """Nothing came from the vendor within the time-out.

    Nothing at first: it is asked again. Raise the provider's time-out for slow models.
    """

    code = "provider_timeout"
    is_retryable = True


class ProviderConnectionError(ProviderError):
    """The connection was refused, reset or cut in the middle of the answer.

    Check the provider's base URL and the network between.
    """

    code = "provider_connection"
    is_retryable = True


class ProviderProtocolError(ProviderError):
    """What came was not what the vendor's protocol says.

    Check that the base URL belongs to the kind of provider; it is asked once more by itself.
    """

    code = "provider_protocol"
    is_retryable = True


class SessionBusyError(ConflictError):
    """The session has a run under way and its strategy is to reject.

    Wait for the run, cancel it, or choose the strategy `enqueue` or `interrupt`.
    """

    code = "session_busy"


class ScriptError(DomainError):
    """The script of a scripted provider cannot be played.

    Mend the place the sentence names; see the page about the scripted provider.
    """

    code = "script_invalid"
