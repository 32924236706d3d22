"""The attempts as data: what each tries, how it has to end, whether it is in the control run."""

import ast
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "attempts"
GROUPS = {
    "f": "files", "p": "processes", "n": "network", "r": "resources", "e": "secrets",
    "k": "kernel",
}  # fmt: skip
PLACE = "tests/e2e/sandbox/attempts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`ends` is `exit` where the program must come to its end by itself.

    `in_gvisor` is empty where it is not tried there, else `blocked`; `virtual` where it acts on the
    kernel in the sandbox, as it may; `ends` where it ends that kernel, and with it the sandbox.
    """

    name: str
    title: str
    ends: str
    is_in_control_run: bool
    in_gvisor: str = ""

    @property
    def group(self) -> str:
        return GROUPS[self.name[0]]


@cache
def attempts() -> dict[str, Attempt]:
    found = {}
    for file in sorted(FOLDER.glob("[a-z][0-9][0-9]_*.py")):
        words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        title, *rest = words.splitlines()
        told = dict(line.split(": ", 1) for line in rest if ": " in line)
        found[file.stem] = Attempt(
            name=file.stem,
            title=title,
            ends=told.get("ends", "exit"),
            is_in_control_run=told.get("control") == "yes",
            in_gvisor=told.get("gvisor", ""),
        )
    return found


def put_into(workspace: Path, attempt: Attempt) -> None:
    """Copy the program and what it shares with the others into a workspace."""
    target = workspace / PLACE
    target.mkdir(parents=True)
    for name in ("inside", attempt.name):
        shutil.copy(FOLDER / f"{name}.py", target)


def claims(output: bytes) -> list[str]:
    """Return what the program says it reached."""
    lines = output.decode(errors="replace").splitlines()
    return [line.removeprefix("REACHED ") for line in lines if line.startswith("REACHED ")]
