"""Open devices of the host.

gvisor: virtual
"""

from tests.e2e.sandbox.attempts.inside import attempt, reached

for name in (
    "mem",
    "kmem",
    "port",
    "kmsg",
    "sda",
    "vda",
    "nvme0n1",
    "loop0",
    "loop-control",
    "fuse",
    "net/tun",
    "kvm",
    "vhost-net",
    "vhost-vsock",
    "vsock",
    "snapshot",
):
    if attempt(open, f"/dev/{name}", "rb") is not None:
        reached(name)
