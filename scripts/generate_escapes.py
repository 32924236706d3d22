"""Write docs/reference/sandbox-escapes.md from the attempts that the tests make.

What the page promises about an attempt is what the test of that attempt asserts.
"""

from pathlib import Path

from tests.e2e.sandbox.attempts_of import GROUPS, Attempt, attempts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "sandbox-escapes.md"

_ENDS = {
    "exit": "blocked",
    "timeout": "blocked; ended at its wall time",
    "memory": "blocked; ended at its memory",
    "output": "blocked; ended at its output",
    "any": "blocked; ended at a limit",
}
_HEAD = "| attempt | what it tries | bubblewrap | docker | gvisor | control |"
_GVISOR = {
    "": "not run",
    "virtual": "reaches the sandbox's own kernel only",
    "ends": "ends the sandbox's own kernel only",
}
_CONTROL = {True: "reaches the host", False: "not run"}


def page() -> str:
    """Return the page: one row an attempt, by group."""
    found = attempts().values()
    control = sum(attempt.is_in_control_run for attempt in found)
    gvisor = sum(bool(attempt.in_gvisor) for attempt in found)
    lines = [
        "# Attempts to break out",
        "",
        "This page is generated from `tests/e2e/sandbox/attempts` by",
        "`python -m scripts.generate_escapes`. Each attempt is a small program that the tests run",
        "in a sandbox of its own. A row says what its test asserts: *blocked* means that nothing",
        "on the host was touched, seen or left behind, by what the host sees and not by what the",
        "program believes, and that the sandbox served the next call.",
        "",
        "The control run makes the same attempt in a sandbox that is weak on purpose, to show that",
        "it would bite. What could hurt the machine or leave it is in no control run.",
        "",
        "gVisor answers system calls in a kernel of its own that runs as a process of the host. An",
        "attempt that reaches or ends only that kernel has done nothing to the host: this is what",
        "such rows say, again by what the host sees. It is tried with a part of the attempts.",
        "",
        f"There are {len(found)} attempts: all of them with bubblewrap and docker, {gvisor} with",
        f"gvisor, {control} in the control run.",
    ]
    for group in GROUPS.values():
        lines += ["", f"## {group.capitalize()}", "", _HEAD, "|---|---|---|---|---|---|"]
        lines += [_row(attempt) for attempt in found if attempt.group == group]
    return "\n".join(lines) + "\n"


def _row(attempt: Attempt) -> str:
    ends = _ENDS[attempt.ends]
    return (
        f"| {attempt.name[:3].upper()} | {attempt.title} | {ends} | {ends} |"
        f" {_GVISOR.get(attempt.in_gvisor, ends)} | {_CONTROL[attempt.is_in_control_run]} |"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
