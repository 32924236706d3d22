"""Learn which machine this is.

gvisor: blocked
"""

import os
import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

for path in (
    "/etc/machine-id",
    "/etc/hostname",
    "/sys/class/dmi/id/product_uuid",
    "/etc/resolv.conf",
):
    file = attempt(open, path)
    words = "" if file is None else file.read().strip()
    if words not in {"", "sandbox"}:
        reached(f"{path}: {words}")
if socket.gethostname() != "sandbox" or os.uname().nodename != "sandbox":
    reached(socket.gethostname())
