"""The image as an archive that `docker load` and its relatives read.

Layout: the Docker image specification, version 1.2, "Combined Image JSON + Filesystem Changeset".
"""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from sandbox.images import naming, rootfs

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CREATED = "2023-11-14T22:13:20Z"  # the same every time, as all else
_LAYER = "layer.tar"


def make(cache: Path) -> Path:
    """Return the archive, made unless `cache` has it already. Raises SandboxUnavailableError."""
    target = cache / f"{naming.local_tag().replace(':', '-')}.tar"
    if target.exists():
        return target
    layer = rootfs.make(cache)
    config = _configuration(rootfs.content_digest(layer))
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [naming.local_tag()], "Layers": [_LAYER]}]
    making = target.with_suffix(".new")
    with tarfile.open(making, "w") as tar:
        tar.add(layer, arcname=_LAYER)
        _put(tar, name, config)
        _put(tar, "manifest.json", json.dumps(manifest).encode())
    making.rename(target)
    layer.unlink()
    return target


def _configuration(layer_digest: str) -> bytes:
    machine = platform.machine()
    return json.dumps(
        {
            "architecture": _ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": _CREATED,
            "config": {
                "User": "10001:10001",
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "WorkingDir": "/workspace",
                "Cmd": ["sh"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            "history": [{"created": _CREATED, "created_by": "python -m sandbox.images build"}],
        },
        sort_keys=True,
    ).encode()


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
