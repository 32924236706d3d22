"""Redaction: no credential reaches storage, a log or a screen by accident.

Every writer passes text through here before it is stored. Two kinds of secrets are found: shapes
(vendor key formats, tokens, private keys, passwords in URLs) and known values, which the process
registers while it holds them, in the spellings in which they leak. A site adds shapes of its own
(`configure`). The same pass makes text storable: NUL characters and lone
surrogates, which databases refuse, become U+FFFD.

Redaction fails closed: `redact_or_withhold` gives up the value, never the secret.
"""

import base64
import html
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import quote

import structlog

from core.patterns import Pattern

logger = structlog.get_logger(__name__)
_reporting = threading.local()

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

REDACTED = "[redacted]"
WITHHELD = "[withheld: redaction failed]"
MIN_KNOWN_LENGTH = 6
MIN_LINE_LENGTH = 24
_PREFIX = 4
MAX_REMEMBERED = 1_000

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

_ESCAPE = re.compile("%[0-9A-F]{2}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class KnownSecrets:
    """Values this process holds right now, in the spellings in which they leak.

    Counted: a value added twice stays until it is removed twice. Safe from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._remembered: OrderedDict[str, None] = OrderedDict()
        self._spellings: tuple[str, ...] = ()
        self._by_prefix: dict[str, list[str]] = {}
        self._beginnings: set[str] = set()
        self._longest = 0

    def add(self, value: str) -> None:
        """Redact `value` from now on; shorter than six characters is refused as too common."""
        if len(value) < MIN_KNOWN_LENGTH:
            raise ValueError(f"A known secret needs at least {MIN_KNOWN_LENGTH} characters.")
        with self._lock:
            self._counts[value] = self._counts.get(value, 0) + 1
            self._rebuild()

    def remove(self, value: str) -> None:
        with self._lock:
            count = self._counts.get(value, 0) - 1
            if count > 0:
                self._counts[value] = count
            else:
                self._counts.pop(value, None)
            self._rebuild()

    def remember(self, value: str) -> None:
        """Redact `value` for as long as this process lives; of very many the least recent go.

        What is too short to be told from ordinary text is not remembered.
        """
        if len(value) < MIN_KNOWN_LENGTH:
            return
        with self._lock:
            is_new = value not in self._remembered
            self._remembered[value] = None
            self._remembered.move_to_end(value)
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
            if is_new:
                self._rebuild()

    def _rebuild(self) -> None:
        spellings: set[str] = set()
        for value in self._counts.keys() | self._remembered.keys():
            spellings.update(_spellings(value))
        # Longest first, so that a secret that contains another one goes as a whole.
        self._spellings = tuple(sorted(spellings, key=_longest_first))
        by_prefix: dict[str, list[str]] = {}
        for spelling in self._spellings:
            by_prefix.setdefault(spelling[:_PREFIX], []).append(spelling)
        self._by_prefix = by_prefix
        self._beginnings = {prefix[:length] for prefix in by_prefix for length in range(1, _PREFIX)}
        self._longest = max(map(len, self._spellings), default=0)

    def begun(self, text: str) -> int:
        """Return from where on the end of `text` may be the beginning of a known secret."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            rest = text[start:]
            if len(rest) < _PREFIX:
                if rest in self._beginnings:
                    return start
            elif any(each.startswith(rest) for each in self._by_prefix.get(rest[:_PREFIX], ())):
                return start
        return len(text)

    def replace(self, text: str) -> str:
        for spelling in self._candidates(text):
            if spelling in text:
                text = text.replace(spelling, REDACTED)
        return text

    def _candidates(self, text: str) -> Iterable[str]:
        """Return the spellings that may be in the text, longest first.

        Looking for each takes a time with the number of spellings, looking at each place of the
        text one with its length: the shorter way is taken.
        """
        if len(text) > 2 * len(self._spellings):
            return self._spellings
        by_prefix = self._by_prefix
        begun = {text[start : start + _PREFIX] for start in range(len(text) - _PREFIX + 1)}
        found = [each for prefix in begun if prefix in by_prefix for each in by_prefix[prefix]]
        return sorted(found, key=_longest_first)

    def __len__(self) -> int:
        return len(self._counts.keys() | self._remembered.keys())


def _longest_first(text: str) -> tuple[int, str]:
    return -len(text), text


def _spellings(value: str) -> Iterable[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    # As exceptions of libraries show what they were given.
    yield repr(value)[1:-1]
    yield repr(raw)[2:-1]
    yield html.escape(value)
    yield html.escape(value, quote=False)
    escaped = quote(raw, safe="")
    yield escaped
    yield escaped.replace("%20", "+")
    yield quote(raw)
    yield _ESCAPE.sub(lambda found: found[0].lower(), escaped)
    yield base64.b64encode(raw).decode("ascii")
    yield base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")
    yield from _inside_base64(raw)
    yield raw.hex()
    yield raw.hex().upper()
    if "\n" in value:
        # Lines of a key go by themselves as well; short ones are not telling.
        for line in value.splitlines():
            if len(line.strip()) >= MIN_LINE_LENGTH:
                yield line.strip()


def _inside_base64(raw: bytes) -> Iterable[str]:
    """Yield how `raw` looks in the middle of a longer Base64, at each of three places: the
    characters that no neighbour has a share in."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode("ascii")
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        whole = encoded[first:last]
        if len(whole) >= MIN_KNOWN_LENGTH:
            yield whole
            yield whole.replace("+", "-").replace("/", "_")


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
