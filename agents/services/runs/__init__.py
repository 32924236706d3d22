"""What people ask of runs: start, pause, resume, cancel, fork, replay."""

from agents.services.runs.control import run_cancel, run_pause, run_resume
from agents.services.runs.fork import run_fork
from agents.services.runs.limits import deadline, merged_limits
from agents.services.runs.replay import run_replay
from agents.services.runs.start import MAX_INPUT_CHARS, request_digest, run_start

__all__ = [
    "MAX_INPUT_CHARS",
    "deadline",
    "merged_limits",
    "request_digest",
    "run_cancel",
    "run_fork",
    "run_pause",
    "run_replay",
    "run_resume",
    "run_start",
]
