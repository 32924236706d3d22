"""The same filter for container engines: a complete profile in Docker's JSON, replacing its own.

The format is Docker's (docs.docker.com/engine/security/seccomp); the engine compiles it with
libseccomp. That compares 64 bits of an argument where the kernel looks at 32, so every comparison
here has a mask: a value with something in its upper half cannot slip past a rule it means.
"""

import errno
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sandbox.seccomp.calls import (
    INET,
    INET6,
    NAMESPACES,
    NETLINK,
    NETLINK_ROUTE,
    PERSONALITIES,
    TERMINAL_INPUT,
    UNIX,
    allowed_numbers,
)

_WORD = 0xFFFF_FFFF
_BITS = 32
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

_Json = dict[str, Any]


@cache
def container_profile(machine: str) -> str:
    """Return the profile for `x86_64` or `aarch64` as JSON text. Raises KeyError."""
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": [_ARCHITECTURES[machine]],
        "syscalls": [_allow(*sorted(allowed_numbers(machine))), *_by_argument()],
    }
    return json.dumps(profile, separators=(",", ":"))


def _by_argument() -> Iterator[_Json]:
    # glibc falls back to clone, whose flags can be looked at; those of clone3 are behind a pointer.
    yield _refuse("clone3", errno.ENOSYS)
    yield _allow("clone", where=[_masked(0, NAMESPACES, 0)])
    for value in PERSONALITIES:
        yield _allow("personality", where=[_is(0, value)])
    for mask, value in others(TERMINAL_INPUT):
        yield _allow("ioctl", where=[_masked(1, mask, value)])
    yield _allow("socketpair", where=[_is(0, UNIX)])
    for mask, value in others([UNIX]):
        yield _refuse("socketpair", errno.EAFNOSUPPORT, where=[_masked(0, mask, value)])
    for family in (UNIX, INET, INET6):
        yield _allow("socket", where=[_is(0, family)])
    yield _allow("socket", where=[_is(0, NETLINK), _is(2, NETLINK_ROUTE)])
    for mask, value in others([UNIX, INET, INET6, NETLINK]):
        yield _refuse("socket", errno.EAFNOSUPPORT, where=[_masked(0, mask, value)])
    for mask, value in others([NETLINK_ROUTE]):
        yield _refuse(
            "socket", errno.EAFNOSUPPORT, where=[_is(0, NETLINK), _masked(2, mask, value)]
        )


def others(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield masks and values that match every 32-bit number but these, each exactly once.

    A rule can only say "equal under a mask", and several rules for a call mean "any of them". So
    walk down the bits: whatever leaves all of `values` at one bit is described by the bits so far.
    """
    heads = {0}
    for bit in reversed(range(_BITS)):
        mask = _WORD & ~((1 << bit) - 1)
        wanted = {value & mask for value in values}
        for head in sorted({head | side << bit for head in heads for side in (0, 1)} - wanted):
            yield mask, head
        heads = wanted


def _allow(*names: str, where: Sequence[_Json] = ()) -> _Json:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": list(where)}


def _refuse(name: str, error: int, *, where: Sequence[_Json] = ()) -> _Json:
    return {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": error, "args": list(where)}


def _is(index: int, value: int) -> _Json:
    return _masked(index, _WORD, value)


def _masked(index: int, mask: int, value: int) -> _Json:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
