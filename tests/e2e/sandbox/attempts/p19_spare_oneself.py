"""Let others die when memory is short.

gvisor: virtual
"""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import attempt, reached

attempt(Path("/proc/self/oom_score_adj").write_text, "-1000")
if int(Path("/proc/self/oom_score_adj").read_text()) < 0:
    reached("oom_score_adj")
