"""What is in the image that is made here."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

WANTED = (
    "bash", "ca-certificates", "coreutils", "curl", "dash", "diffutils", "findutils", "git",
    "grep", "gzip", "mawk", "patch", "procps", "python3", "sed", "tar", "xz-utils",
)  # fmt: skip

# What the wanted packages ask for and no program in a sandbox needs, by the beginning of the name.
LEFT_OUT = ("debconf", "dpkg", "git-man", "libdb5", "liberror-perl", "libgdbm", "libperl", "perl")

# Names that maintainer scripts would make; those are not run.
LINKS: Mapping[str, str] = {"usr/bin/awk": "mawk", "usr/bin/python": "python3"}

# Where a container gets something mounted; its root cannot be written.
FOLDERS = (
    "dev", "proc", "run/agentry", "run/agentry-egress", "run/secrets", "sys", "tmp", "workspace",
)  # fmt: skip

FILES: Mapping[str, str] = {
    "etc/passwd": "root:x:0:0::/:/bin/false\ntool:x:10001:10001::/workspace:/bin/sh\n"
    "nobody:x:65534:65534::/:/bin/false\n",
    "etc/group": "root:x:0:\ntool:x:10001:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/hosts": "",
    "etc/hostname": "",
    "etc/resolv.conf": "",
}

# Read by nobody in there, and most of the size.
DROPPED = (
    "etc/apt", "etc/cron.daily", "etc/init.d", "etc/kernel", "etc/logrotate.d", "etc/machine-id",
    "usr/lib/systemd", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d",
    "usr/share/bash-completion", "usr/share/bug", "usr/share/doc", "usr/share/doc-base",
    "usr/share/gitweb", "usr/share/info", "usr/share/lintian", "usr/share/locale",
    "usr/share/man", "usr/share/menu", "usr/share/pixmaps", "var/cache", "var/lib",
)  # fmt: skip


def digest() -> str:
    """Return 12 hexadecimal digits that change whenever the image would be made otherwise."""
    here = Path(__file__).parent
    texts = [(here / name).read_bytes() for name in ("recipe.py", "rootfs.py")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:12]
