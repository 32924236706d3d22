"""What a host needs for virtual machines, looked for and never assumed."""

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NEEDED_FLAGS = {"vmx", "svm"}  # Intel's and AMD's words for a processor that can do it


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where the parts are; `problem` says what is missing, and then nothing else counts."""

    program: Path = Path("firecracker")
    kernel: Path = Path()
    root_disk: Path = Path()
    problem: str = ""
    remedy: str = ""


def find_host(
    *,
    kernel: str,
    root_disk: str,
    path: str | None = None,
    device: Path = Path("/dev/kvm"),
    processor: Path = Path("/proc/cpuinfo"),
    modules: Path = Path("/sys/module"),
) -> Host:
    """Look for Firecracker, a usable KVM and the two files a machine is started from."""
    program = shutil.which("firecracker", path=path)
    if program is None:
        return Host(
            problem="Firecracker is not installed.",
            remedy="Put its release's `firecracker` on the PATH of the sandbox worker.",
        )
    if os.geteuid() != 0:
        return Host(
            problem="Only root may give a machine a user, a group and a disk of its own.",
            remedy="Run the sandbox worker as root.",
        )
    if problem := kvm_problem(device=device, processor=processor, modules=modules):
        return Host(
            problem=problem,
            remedy="Use a host with hardware virtualisation (bare metal, or a virtual machine "
            "with nested virtualisation) and load kvm_intel or kvm_amd.",
        )
    for name, text in _files(kernel, root_disk).items():
        if not text or not Path(text).is_file():
            return Host(
                problem=f"{name} names no file: {text or 'it is not set'}.",
                remedy="Name an uncompressed kernel and a root disk with the session agent; see "
                "docs/operate/sandbox.md.",
            )
    return Host(program=Path(program), kernel=Path(kernel), root_disk=Path(root_disk))


def _files(kernel: str, root_disk: str) -> Mapping[str, str]:
    return {
        "AGENTRY_SANDBOX_MICROVM_KERNEL": kernel,
        "AGENTRY_SANDBOX_MICROVM_DISK": root_disk,
    }


def kvm_problem(*, device: Path, processor: Path, modules: Path) -> str:
    """Return why KVM cannot start a machine here; empty when it can."""
    if not device.exists():
        return f"{device} is not there: the kernel offers no virtual machines."
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} may not be used by this user."
    if platform.machine() != "x86_64":
        return ""
    # A device alone says little: software stand-ins such as kvm_pvm have one, too, and an ordinary
    # kernel does not start on them.
    if (modules / "kvm_pvm").exists() and not (_has(modules, "kvm_intel", "kvm_amd")):
        return (
            f"{device} is kvm_pvm's, which has no hardware virtualisation behind it (no VMX, no "
            "SVM): an ordinary kernel does not start on it."
        )
    if not _flags(processor) & _NEEDED_FLAGS:
        return "The processor shows neither VMX nor SVM, so KVM has nothing to work with."
    return ""


def _has(modules: Path, *names: str) -> bool:
    return any((modules / name).exists() for name in names)


def _flags(processor: Path) -> set[str]:
    for line in processor.read_text().splitlines():
        name, _, words = line.partition(":")
        if name.strip() == "flags":
            return set(words.split())
    return set()
