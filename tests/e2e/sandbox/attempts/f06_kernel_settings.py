"""Change settings of the kernel under /proc/sys and press SysRq.

gvisor: blocked
"""

from pathlib import Path

from tests.e2e.sandbox.attempts.inside import attempt, reached

for name in ("sys/kernel/core_pattern", "sys/kernel/hostname", "sys/kernel/modprobe",
             "sys/vm/overcommit_memory", "sys/fs/file-max"):  # fmt: skip
    if attempt(Path(f"/proc/{name}").write_text, "1") is not None:
        reached(name)
if attempt(open, "/proc/sysrq-trigger", "w") is not None:
    reached("sysrq-trigger")
