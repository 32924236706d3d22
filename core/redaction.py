"""Redaction: no credential reaches storage, a log or a screen by accident.

Every writer passes text through here before it is stored. Two kinds of secrets are found: shapes
(vendor key formats, tokens, private keys, passwords in URLs) and known values (`known_secrets`), in
the spellings in which they leak. A site adds shapes of its own (`configure`). The same pass makes
text storable: NUL characters and lone surrogates, which databases refuse, become U+FFFD.

Redaction fails closed: `redact_or_withhold` gives up the value, never the secret.
"""

import re
import threading
from collections.abc import Iterable
from typing import TypeAlias

import structlog

from core.known_values import REDACTED, KnownSecrets
from core.patterns import Pattern

logger = structlog.get_logger(__name__)
_reporting = threading.local()

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

WITHHELD = "[withheld: redaction failed]"

_MAX_PASSES = 8

_WORD_START = r"(?<![A-Za-z0-9_-])"

# A shape is looked for only where its literal marker occurs: a plain substring search costs some
# tens of nanoseconds, a regular expression over clean text a hundred times that.
# The second element is what replaces a match; groups keep the harmless beginning.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (("sk-",), re.compile(_WORD_START + r"sk-[A-Za-z0-9_-]{16,}"), REDACTED),
    (("agk_",), re.compile(_WORD_START + r"agk_[A-Za-z0-9_-]{16,}"), REDACTED),
    (("AKIA", "ASIA"), re.compile(_WORD_START + r"(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),
    (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        re.compile(_WORD_START + r"gh[pousr]_[A-Za-z0-9]{20,}"),
        REDACTED,
    ),
    (("github_pat_",), re.compile(_WORD_START + r"github_pat_[A-Za-z0-9_]{20,}"), REDACTED),
    (("glpat-",), re.compile(_WORD_START + r"glpat-[A-Za-z0-9_-]{16,}"), REDACTED),
    (("xox",), re.compile(_WORD_START + r"xox[abeoprs]-[A-Za-z0-9-]{10,}"), REDACTED),
    (("AIza",), re.compile(_WORD_START + r"AIza[A-Za-z0-9_-]{30,}"), REDACTED),
    (
        ("eyJ",),
        re.compile(_WORD_START + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        REDACTED,
    ),
    (
        ("PRIVATE KEY-----",),
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"
            r".*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        REDACTED,
    ),
)

# Markers compared in lower case.
_SHAPES_ANY_CASE: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (
        ("bearer ",),
        re.compile(r"\b(bearer\s+)(?!\[redacted\])[A-Za-z0-9._~+/-]{16,}=*", re.IGNORECASE),
        r"\1" + REDACTED,
    ),
    (
        ("basic ",),
        re.compile(
            r"(\bauthorization\W{1,4}basic\s+)(?!\[redacted\])[A-Za-z0-9+/]{4,}=*", re.IGNORECASE
        ),
        r"\1" + REDACTED,
    ),
    (
        ("://",),
        re.compile(r"(://[^\s/:@'\"<>\[\]]{0,200}:)(?!\[redacted\]@)[^\s/@'\"<>]{1,500}(?=@)"),
        r"\1" + REDACTED,
    ),
    (
        ("password=", "passwd=", "secret=", "token=", "api_key=", "apikey=", "key="),
        re.compile(
            r"([?&;\s\"'](?:password|passwd|client_secret|secret|access_token|refresh_token|"
            r"auth_token|token|api[_-]?key|apikey|key)=)(?!\[redacted\])[^\s&;\"'<>]{6,}",
            re.IGNORECASE,
        ),
        r"\1" + REDACTED,
    ),
    (
        ("x-api-key", "x-goog-api-key"),
        re.compile(
            r"(\bx-(?:goog-)?api-key[\"']?\s*[:=]\s*[\"']?)(?!\[redacted\])[^\s\"',}]{6,}",
            re.IGNORECASE,
        ),
        r"\1" + REDACTED,
    ),
)

_Row: TypeAlias = tuple[str, re.Pattern[str], str]
_BY_MARKER: tuple[_Row, ...] = tuple(
    (marker, pattern, replacement)
    for markers, pattern, replacement in _SHAPES
    for marker in markers
)
_BY_MARKER_ANY_CASE: tuple[_Row, ...] = tuple(
    (marker, pattern, replacement)
    for markers, pattern, replacement in _SHAPES_ANY_CASE
    for marker in markers
)

# A text value under one of these names is a secret whatever it looks like.
_SECRET_NAMES = frozenset(
    {
        "password", "passwd", "secret", "clientsecret", "apikey", "xapikey", "authorization",
        "proxyauthorization", "accesstoken", "refreshtoken", "authtoken", "privatekey", "setcookie",
        "cookie", "secretkey",
    }
)  # fmt: skip

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


known_secrets = KnownSecrets()

_configured: tuple[Pattern, ...] = ()


def configure(patterns: Iterable[Pattern]) -> None:
    """Redact what these match too, from now on in this process; called as it starts."""
    global _configured
    _configured = tuple(patterns)


def configured_patterns() -> tuple[Pattern, ...]:
    return _configured


def storable(text: str) -> str:
    """Return `text` as every database accepts it: no NUL, no lone surrogate."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if not text.isascii():
        text = _LONE_SURROGATE.sub("\ufffd", text)
    return text


def redact_text(text: str) -> str:
    """Return `text` storable and without secrets. Applying it twice changes nothing more."""
    text = known_secrets.replace(storable(text))
    for _ in range(_MAX_PASSES):
        cleaned = _one_pass(text)
        if cleaned == text:
            break
        text = cleaned  # what was removed may have hidden the beginning of what came after it
    return text


def _one_pass(text: str) -> str:
    for configured in _configured:
        if configured.literal in text:
            text = configured.compiled.sub(REDACTED, text)
    for marker, pattern, replacement in _BY_MARKER:
        if marker in text:
            text = pattern.sub(replacement, text)
    lowered = text.lower()
    for marker, pattern, replacement in _BY_MARKER_ANY_CASE:
        if marker in lowered:
            text = pattern.sub(replacement, text)
    return text


def redact(value: JSON) -> JSON:
    """Return a redacted copy of a JSON value; names in objects are redacted too.

    Raises:
        TypeError: a part is not JSON; use `redact_or_withhold` where that may happen.
    """
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, dict):
        return _redact_object(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _redact_object(value: dict[str, JSON]) -> JSON:
    result: dict[str, JSON] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError("a JSON object has a name that is not text")
        name = redact_text(key)
        if name in result:  # two names became equal: keep both values
            name = f"{name}#{len(result)}"
        plain = key.lower().replace("-", "").replace("_", "")
        if isinstance(item, str) and item and plain in _SECRET_NAMES:
            result[name] = REDACTED
        else:
            result[name] = redact(item)
    return result


def redact_or_withhold(value: object) -> JSON:
    """Return the redacted value, or a placeholder when redaction fails for any reason.

    Tuples and mappings with text names count as JSON; anything else is withheld as a whole.
    """
    try:
        return redact(value)  # type: ignore[arg-type]  # what is not JSON raises TypeError
    except Exception as error:  # noqa: BLE001 - fail closed: losing the value is the safe side
        _report(error)
        return WITHHELD


def _report(error: Exception) -> None:
    """Log the failure, unless it is the log's own: lines are redacted too, and would fail again."""
    if getattr(_reporting, "is_busy", False):
        return
    _reporting.is_busy = True
    try:
        logger.warning("redaction_failed", kind=type(error).__name__)
    finally:
        _reporting.is_busy = False
