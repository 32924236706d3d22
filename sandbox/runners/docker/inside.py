"""The files of ours that are mounted into a container: the agent, and who one is in there.

They lie in folders that only root, or whoever owns the sandboxes, can write, so that a mount of
them can lead nowhere else.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.ids import new_id
from sandbox.runners.docker.settings import AGENT_FOLDER

_PROGRAMS = Path(__file__).parents[2] / "inside"
_OURS = {
    f"{AGENT_FOLDER}/agent.py": "session_agent.py",
    f"{AGENT_FOLDER}/relay.py": "relay.py",
}
_FOLDER_MODE = 0o711


def files_for(
    folder: Path,
    *,
    place: int,
    user: int,
    hosts: Sequence[str] = (),
) -> Mapping[str, Path]:
    """Return the host's files by their path inside, made where they are missing.

    `place` is the sandbox's number, whose files only its holder writes; `hosts` are further lines
    of /etc/hosts.
    """
    found = {}
    for inside, name in _OURS.items():
        program = (_PROGRAMS / name).read_bytes()
        found[inside] = folder / f"{hashlib.sha256(program).hexdigest()[:16]}-{name}"
        _keep(found[inside], program)
    for inside, content in _identity(user, hosts).items():
        found[inside] = folder / str(place) / inside.strip("/").replace("/", "-")
        _keep(found[inside], content)
    return found


def _identity(user: int, hosts: Sequence[str]) -> dict[str, bytes]:
    lines = ["127.0.0.1 localhost sandbox", "::1 localhost", *hosts]
    files = {
        "passwd": f"tool:x:{user}:{user}::/workspace:/bin/sh\n"
        "nobody:x:65534:65534::/:/bin/false\n".encode(),
        "group": f"tool:x:{user}:\nnogroup:x:65534:\n".encode(),
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
        "hosts": "".join(f"{line}\n" for line in lines).encode(),
        "hostname": b"sandbox\n",
        "resolv.conf": b"",
    }
    return {f"/etc/{name}": content for name, content in files.items()}


def _keep(file: Path, content: bytes) -> None:
    """Write the file unless it is there as it should be; of several writers each writes it all."""
    if file.is_file() and file.read_bytes() == content:
        return
    file.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    making = file.with_name(f".{file.name}.{new_id().hex}")
    making.write_bytes(content)
    making.chmod(0o444)
    os.replace(making, file)  # noqa: PTH105
