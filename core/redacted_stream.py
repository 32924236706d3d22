"""Redaction of text that arrives in pieces: a secret split over two of them is still found.

What may be the beginning of a secret is held back until it is clear what it is. Ordinary prose
comes out a word later than it came in.
"""

import re

from core.redaction import configured_patterns, known_secrets, redact_text

MAX_HELD = 16_384
WITHHELD_PIECE = "[withheld: too long to be shown while it is written]"

# What makes the word that follows a secret, with as much of that word as there is.
_LEADS = re.compile(
    r"(?:bearer|authorization\W{0,8}(?:basic)?|x-(?:goog-)?api-key[\"']?\s*[:=]?[\"']?)\s*\S*\Z",
    re.IGNORECASE,
)
_BLOCK = "-----BEGIN"
_BLOCK_END = re.compile(r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_MAX_TRIES = 32
_NEVER_SPLIT = ("://", "=")


class RedactedStream:
    """One stream of text. Not safe from several threads."""

    def __init__(self) -> None:
        self._held = ""
        self._is_lost = False

    def feed(self, text: str) -> str:
        """Take a piece and return what may be shown now, redacted; often nothing."""
        if self._is_lost:
            return ""
        self._held += text
        cut = self._safe()
        if len(self._held) - cut > MAX_HELD:
            shown = redact_text(self._held[:cut])
            self._held, self._is_lost = "", True
            return shown + WITHHELD_PIECE
        shown, self._held = self._held[:cut], self._held[cut:]
        return redact_text(shown) if shown else ""

    def end(self) -> str:
        """Return what was held back, redacted. The stream takes pieces again afterwards."""
        rest, self._held, self._is_lost = self._held, "", False
        return redact_text(rest) if rest else ""

    def _safe(self) -> int:
        """Return up to where nothing can be part of a secret that is still being written."""
        held = self._held
        cut = min(_last_break(held), known_secrets.begun(held), _pattern_begun(held))
        begun = held.rfind(_BLOCK)
        if begun >= 0 and not _BLOCK_END.search(held, begun):
            cut = min(cut, begun)
        leading = _LEADS.search(held)
        if leading is not None:
            cut = min(cut, leading.start())
        # Nor may the cut go through a secret that is there as a whole, or hide its beginning.
        for _ in range(_MAX_TRIES):
            if cut == 0 or redact_text(held[:cut]) + redact_text(held[cut:]) == redact_text(held):
                return cut
            cut = _last_break(held[:cut])
        return 0


def _pattern_begun(text: str) -> int:
    """Return from where on the end of `text` may be the beginning of a configured pattern."""
    found = len(text)
    for pattern in configured_patterns():
        start = text.find(pattern.literal, max(0, len(text) - pattern.longest))
        if start < 0:
            shares = range(min(len(pattern.literal) - 1, len(text)), 0, -1)
            share = next((n for n in shares if text.endswith(pattern.literal[:n])), 0)
            start = len(text) - share
        found = min(found, start)
    return found


def _last_break(text: str) -> int:
    """Return where the last unfinished word begins: before the white space in front of it."""
    may_split = not any(part in text for part in _NEVER_SPLIT)
    for place in range(len(text) - 1, -1, -1):
        if text[place].isspace() or (may_split and not text[place].isascii()):
            return place
    return 0
