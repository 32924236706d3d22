"""Overwrite the program we were started from, and that of process 1."""

from tests.e2e.sandbox.attempts.inside import attempt, reached

for path in ("/proc/self/exe", "/proc/1/exe", "/run/agentry/agent.py", "/usr/bin/python3"):
    if attempt(open, path, "r+b") is not None:
        reached(path)
