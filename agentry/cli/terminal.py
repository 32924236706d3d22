"""Text from servers and models on its way to a terminal: it is hostile until it is plain.

Control sequences can rewrite what was shown, set the clipboard or answer questions of programs;
bidirectional overrides can make a command read as another one. Both are taken out. Colours are
only ever added by us, as styles, never by marking up text.
"""

import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# ECMA-48: strings (OSC, DCS, SOS, PM, APC) up to their end, control sequences, other escapes.
_SEQUENCES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """The text without anything a terminal obeys; newlines and tabs stay."""
    cleaned = _SEQUENCES.sub("", str(text).replace("\r\n", "\n"))
    return _CONTROLS.sub("", cleaned)


def one_line(text: object, *, width: int = 100) -> str:
    """Plain text on one line, cut with an ellipsis."""
    flat = " ".join(plain(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def escaped(document: str) -> str:
    r"""JSON or YAML text whose remaining control characters are written as `\uXXXX`."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", document)


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def console(stream: TextIO | None = None) -> "Console":
    """A Rich console that interprets nothing: no markup, no emoji names, no highlighting."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, emoji=False, highlight=False)
