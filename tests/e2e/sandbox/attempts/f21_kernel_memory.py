"""Read the kernel's memory, log and debug files."""

from tests.e2e.sandbox.attempts.inside import attempt, reached

for path in (
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/kpagecount",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/proc/timer_list",
    "/sys/kernel/debug",
    "/sys/kernel/tracing/trace",
    "/boot",
):
    file = attempt(open, path, "rb")
    if file is not None and attempt(file.read, 1):
        reached(path)
