"""How this site logs: one shape for our own loggers and for those of libraries, to standard error.

Every line carries what is bound to the context it was written in (the run, the request). Secrets
are taken out last of all, from whatever was logged, tracebacks included; tracebacks never show
local variables, which hold what requests and tools were given.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from core.env import ConfigurationError
from core.redaction import JSON, redact_or_withhold

FORMATS = ("console", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# What the formatter itself needs and removes before a line is rendered, and uvicorn's second copy
# of its message, in colours.
_OWN = frozenset({"_record", "_from_structlog", "color_message"})


def logging_config(*, format_name: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING, and make structlog hand its events to the same formatter.

    Raises:
        ConfigurationError: no such format or level.
    """
    level = level.upper()
    if format_name not in FORMATS:
        raise ConfigurationError(
            f"AGENTRY_LOG_FORMAT={format_name!r} is not one of: {', '.join(FORMATS)}."
        )
    if level not in LEVELS:
        raise ConfigurationError(f"AGENTRY_LOG_LEVEL={level!r} is not one of: {', '.join(LEVELS)}.")
    shared = _shared()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Emptied, so that libraries which bring handlers of their own do not write a line twice.
    passed_up: dict[str, Any] = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": ProcessorFormatter,
                "foreign_pre_chain": [structlog.stdlib.ExtraAdder(), *shared],
                "processors": [*_rendering(format_name)],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": passed_up,
            "django.server": passed_up,
            "uvicorn": passed_up,
            # At DEBUG it quotes every message of a socket, and so does the library below it.
            "uvicorn.error": {**passed_up, "level": "INFO" if level == "DEBUG" else level},
            "websockets": {"level": "INFO"},
            "uvicorn.access": passed_up,
            # Says every connection and query at DEBUG, in more lines than all others together.
            **{name: {"level": "INFO"} for name in ("asyncio", "django.db.backends", "httpcore2")},
        },
    }


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _rendering(format_name: str) -> list[Processor]:
    if format_name == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(tracebacks),
            secrets_removed,
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.processors.format_exc_info,
        secrets_removed,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        ),
    ]


def secrets_removed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact a finished event. What is not plain data is logged as its text, redacted too."""
    redacted = redact_or_withhold({n: _plain(v) for n, v in event.items() if n not in _OWN})
    return redacted if isinstance(redacted, dict) else {"event": redacted}


def _plain(value: object) -> JSON:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__ must not lose the line
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def level_set(level: int | str | None) -> None:
    """Set the lowest level that is logged, where a command line asks for another one."""
    if level is not None:
        logging.getLogger().setLevel(level)
