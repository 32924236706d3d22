"""Find the control sockets of container engines and of the system."""

import socket

from tests.e2e.sandbox.attempts.inside import reached

for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
             "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/run/systemd/private",
             "/run/snapd.socket", "/var/run/crio/crio.sock"):  # fmt: skip
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(path)
    except OSError:
        continue
    reached(path)
print("refused: none of them is there")
