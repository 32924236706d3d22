"""The files of ours that are mounted into a container: the agent, and who one is in there.

They lie in folders that only root, or whoever owns the sandboxes, can write, so that a mount of
them can lead nowhere else.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from core.ids import new_id
from sandbox.runners.docker.settings import AGENT_FOLDER

_PROGRAMS = Path(__file__).parents[2] / "inside"
_FOLDER_MODE = 0o711


def files_for(folder: Path, *, user: int) -> Mapping[str, Path]:
    """Return the host's files and folders by their path inside, made where they are missing."""
    agent = (_PROGRAMS / "session_agent.py").read_bytes()
    programs = folder / f"programs-{hashlib.sha256(agent).hexdigest()[:16]}"
    _keep(programs / "agent.py", agent)
    own = folder / str(user)
    for name, content in _identity(user).items():
        _keep(own / name, content)
    return {AGENT_FOLDER: programs, **{f"/etc/{name}": own / name for name in _identity(user)}}


def _identity(user: int) -> Mapping[str, bytes]:
    return {
        "passwd": f"tool:x:{user}:{user}::/workspace:/bin/sh\n"
        "nobody:x:65534:65534::/:/bin/false\n".encode(),
        "group": f"tool:x:{user}:\nnogroup:x:65534:\n".encode(),
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
        "hosts": b"127.0.0.1 localhost sandbox\n::1 localhost\n",
        "hostname": b"sandbox\n",
        "resolv.conf": b"",
    }


def _keep(file: Path, content: bytes) -> None:
    """Write the file unless it is there as it should be; of several writers each writes it all."""
    if file.is_file() and file.read_bytes() == content:
        return
    file.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    making = file.with_name(f".{file.name}.{new_id().hex}")
    making.write_bytes(content)
    making.chmod(0o444)
    os.replace(making, file)  # noqa: PTH105
