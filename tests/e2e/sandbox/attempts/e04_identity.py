"""Learn which machine this is."""

import os
import socket

from tests.e2e.sandbox.attempts.inside import attempt, reached

for path in (
    "/etc/machine-id",
    "/etc/hostname",
    "/sys/class/dmi/id/product_uuid",
    "/etc/resolv.conf",
):
    if attempt(open, path) is not None:
        reached(path)
if socket.gethostname() != "sandbox" or os.uname().nodename != "sandbox":
    reached(socket.gethostname())
