"""What a program wrote, as a model reads it: text without control sequences, and how it ended."""

import re
import signal

from plugins.contracts import ToolResult
from sandbox.contracts import Ended, Outcome

# ECMA-48: strings (OSC, DCS, SOS, PM, APC) up to their end, control sequences, other escapes.
_SEQUENCES = re.compile(
    r"(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n|$)")
_ENDS = {
    Ended.TIMEOUT: "ended after its time was over",
    Ended.MEMORY: "ended because it used up its memory",
    Ended.OUTPUT: "ended because it wrote more than it may",
    Ended.CANCELLED: "cancelled",
}


def readable(data: bytes) -> str:
    """Decode output of unknown origin. What a terminal would have overwritten is left out."""
    text = data.decode("utf-8", "replace")
    text = _SEQUENCES.sub("", text)
    text = _OVERWRITTEN.sub("", text.replace("\r\n", "\n"))
    return _CONTROLS.sub("", text)


def result_of(outcome: Outcome) -> ToolResult:
    """Render an outcome. A failed program is a result too: it ran, and the model decides."""
    parts = [_ended(outcome)]
    for title, data in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        text = readable(data)
        if text.strip():
            parts.append(f"{title}:\n{text.rstrip()}")
    if outcome.is_truncated:
        size = len(outcome.stdout) + len(outcome.stderr)
        parts.append(f"[output cut after {size} bytes; write to a file and read parts of it]")
    if len(parts) == 1:
        parts.append("(no output)")
    return ToolResult(
        text="\n".join(parts),
        metadata={
            "exit_code": outcome.exit_code,
            "ended_by": outcome.ended_by.value,
            "wall_seconds": round(outcome.usage.wall_seconds, 3),
        },
    )


def _ended(outcome: Outcome) -> str:
    seconds = f"{outcome.usage.wall_seconds:.1f} s"
    if outcome.ended_by in _ENDS:
        return f"{_ENDS[outcome.ended_by]} ({seconds}); what it did until then is done"
    if outcome.signal is not None:
        return f"ended by signal {outcome.signal} ({_signal_name(outcome.signal)}) ({seconds})"
    return f"exit code {outcome.exit_code} ({seconds})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
