"""The command line of a Landlock sandbox, and what is handed to it by descriptor.

The sandbox's user may read nothing of ours, not even the agent's source, so all of it goes in by
inherited descriptors.
"""

import contextlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from sandbox.contracts import Limits
from sandbox.runners.process import in_memory
from sandbox.runners.rights import from_root, limited
from sandbox.seccomp import compiled, without_sharing

_INSIDE = Path(__file__).parents[2] / "inside"
_OWN_PROCESSES = 1  # the agent, counted by the limit on its user

_SHOWN = "session_agent.py"  # what lists of processes say it is

# Makes the two sources importable under the names they have here.
_BOOT = """
import os, sys, types
def load(name, descriptor):
    with os.fdopen(descriptor, "rb") as file:
        code = compile(file.read(), name, "exec")
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module
base, confined, workspace, *programs = map(int, sys.argv[2:])
sys.modules["sandbox"] = types.ModuleType("sandbox")
inside = sys.modules["sandbox.inside"] = types.ModuleType("sandbox.inside")
inside.session_agent = load("sandbox.inside.session_agent", base)
load("sandbox.inside.confined_agent", confined).main(workspace, programs)
"""


def command_line(
    *,
    workspace: Path,
    limits: Limits,
    uid: int | None,
    python: str,
    descriptors: contextlib.ExitStack,
) -> tuple[list[str], Sequence[int]]:
    """Return the words and the descriptors to pass on; `uid` None: stay the user we are."""
    sources = [
        in_memory((_INSIDE / name).read_bytes(), descriptors)
        for name in ("session_agent.py", "confined_agent.py")
    ]
    folder = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    descriptors.callback(os.close, folder)
    machine = platform.machine()
    programs = [
        in_memory(program, descriptors) for program in (compiled(machine), without_sharing(machine))
    ]
    passed = [*sources, folder, *programs]
    words = limited(limits, [python, "-I", "-S", "-c", _BOOT, _SHOWN, *map(str, passed)])
    if uid is not None:
        if limits.pids is not None:
            words.insert(1, f"--nproc={limits.pids + _OWN_PROCESSES}")
        words = from_root(groups=(), uid=uid, rest=words)
    return words, passed
