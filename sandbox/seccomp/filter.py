"""The seccomp filter as classic BPF: allowed calls by number, some by their arguments too.

Layout of the data and of an instruction: Linux `seccomp(2)`, `struct seccomp_data` and
`struct sock_filter`. Jumps in classic BPF go forwards and at most 255 instructions far, so the
table is a row of ranges, each with its own verdict.
"""

import errno
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

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

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _MASK = 0x20, 0x15, 0x25, 0x35, 0x45  # opcodes of classic BPF
_RETURN = 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000
_ERRNO = 0x0005_0000
REFUSE = _ERRNO | errno.EPERM
UNKNOWN = _ERRNO | errno.ENOSYS
NO_FAMILY = _ERRNO | errno.EAFNOSUPPORT

_NEWEST = 462  # later calls are answered as an older kernel would, so that libraries fall back
_NEW_ABI = 0x4000_0000  # x32 numbers carry this bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    audit_arch: int
    clone: int
    clone3: int
    ioctl: int
    personality: int
    socket: int
    socketpair: int


MACHINES = {
    "x86_64": Machine(
        audit_arch=0xC000_003E,
        clone=56,
        clone3=435,
        ioctl=16,
        personality=135,
        socket=41,
        socketpair=53,
    ),
    "aarch64": Machine(
        audit_arch=0xC000_00B7,
        clone=220,
        clone3=435,
        ioctl=29,
        personality=92,
        socket=198,
        socketpair=199,
    ),
}

_Instruction = tuple[int, int, int, int]


@cache
def compiled(machine: str) -> bytes:
    """Return the program for `x86_64` or `aarch64`, ready for the kernel. Raises KeyError."""
    parts = [*_opening(MACHINES[machine]), *_by_argument(MACHINES[machine])]
    parts += _by_number(allowed_numbers(machine).values())
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in parts)


@cache
def without_sharing(machine: str) -> bytes:
    """Return a program to add to the other where no namespace keeps network and processes apart.

    It refuses every socket but a pair (Landlock sees neither datagrams nor sockets in the file
    system), memory and queues that outlive whoever made them, and the limits of other processes.
    Raises KeyError.
    """
    known, numbers = MACHINES[machine], allowed_numbers(machine)
    parts: list[_Instruction] = [
        *_opening(known),
        *_call(known.socket, [(_RETURN, 0, 0, NO_FAMILY)]),
        *_call(numbers["prlimit64"], _one_of(0, (0,), otherwise=REFUSE)),
    ]
    for name in ("shmget", "semget", "msgget", "mq_open"):
        parts += _call(numbers[name], [(_RETURN, 0, 0, REFUSE)])
    parts.append((_RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in parts)


def _opening(machine: Machine) -> list[_Instruction]:
    """Kill calls of another architecture (int 0x80), refuse x32."""
    return [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, machine.audit_arch),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _NEW_ABI),
        (_RETURN, 0, 0, REFUSE),
    ]


def _by_argument(machine: Machine) -> Iterator[_Instruction]:
    # glibc falls back to clone, whose flags can be looked at; those of clone3 are behind a pointer.
    yield from _call(machine.clone3, [(_RETURN, 0, 0, UNKNOWN)])
    yield from _call(machine.clone, [*_argument(0), (_MASK, 0, 1, NAMESPACES), *_refuse_or_allow()])
    yield from _call(machine.personality, _one_of(0, PERSONALITIES, otherwise=REFUSE))
    yield from _call(machine.socketpair, _one_of(0, (UNIX,), otherwise=NO_FAMILY))
    yield from _call(
        machine.ioctl,
        [
            *_argument(1),
            (_EQUAL, 1, 0, TERMINAL_INPUT[0]),
            (_EQUAL, 0, 1, TERMINAL_INPUT[1]),
            *_refuse_or_allow(),
        ],
    )
    yield from _call(
        machine.socket,
        [
            *_argument(0),
            (_EQUAL, 5, 0, UNIX),
            (_EQUAL, 4, 0, INET),
            (_EQUAL, 3, 0, INET6),
            (_EQUAL, 0, 3, NETLINK),
            *_argument(2),
            (_EQUAL, 0, 1, NETLINK_ROUTE),
            (_RETURN, 0, 0, ALLOW),
            (_RETURN, 0, 0, NO_FAMILY),
        ],
    )


def _call(number: int, rules: list[_Instruction]) -> list[_Instruction]:
    return [(_EQUAL, 0, len(rules), number), *rules]


def _argument(index: int) -> list[_Instruction]:
    """Load the low half of an argument; the kernel reads these as 32 bits as well."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * index)]


def _refuse_or_allow() -> list[_Instruction]:
    return [(_RETURN, 0, 0, REFUSE), (_RETURN, 0, 0, ALLOW)]


def _one_of(index: int, values: tuple[int, ...], *, otherwise: int) -> list[_Instruction]:
    steps = _argument(index)
    for position, value in enumerate(values):
        steps.append((_EQUAL, len(values) - position, 0, value))
    return [*steps, (_RETURN, 0, 0, otherwise), (_RETURN, 0, 0, ALLOW)]


def _by_number(numbers: Iterable[int]) -> Iterator[_Instruction]:
    for low, high in _ranges(sorted(numbers)):
        yield (_GREATER, 3, 0, high)
        yield (_AT_LEAST, 0, 1, low)
        yield (_RETURN, 0, 0, ALLOW)
        yield (_RETURN, 0, 0, REFUSE)
    yield (_GREATER, 0, 1, _NEWEST)
    yield (_RETURN, 0, 0, UNKNOWN)
    yield (_RETURN, 0, 0, REFUSE)


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    low = high = numbers[0]
    for number in numbers[1:]:
        if number != high + 1:
            yield low, high
            low = number
        high = number
    yield low, high
