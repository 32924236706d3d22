"""The compiled filter, asked by a machine of our own what it says to each call."""

import errno
import json

import pytest

from sandbox.seccomp import MACHINES, compiled, container_profile
from sandbox.seccomp.calls import allowed_numbers
from sandbox.seccomp.container import others
from sandbox.seccomp.filter import ALLOW, KILL, NO_FAMILY, REFUSE, UNKNOWN
from tests.unit.sandbox.bpf import answer

BOTH = pytest.mark.parametrize("name", sorted(MACHINES))


def ask(name: str, number: int, *arguments: int) -> int:
    arch = MACHINES[name].audit_arch
    return answer(compiled(name), arch=arch, number=number, arguments=arguments)


@BOTH
def test_every_call_of_the_table_is_allowed_and_no_other(name: str) -> None:
    machine = MACHINES[name]
    special = {machine.clone, machine.ioctl, machine.personality, machine.socket}
    special |= {machine.socketpair, machine.clone3}
    allowed = set(allowed_numbers(name).values())

    assert allowed & special == set()
    answers = {number: ask(name, number) for number in range(700) if number not in special}
    assert {number for number, word in answers.items() if word == ALLOW} == allowed
    assert {word for number, word in answers.items() if number not in allowed} == {REFUSE, UNKNOWN}
    assert all(word == UNKNOWN for number, word in answers.items() if number > 462)


@BOTH
def test_another_architecture_is_killed(name: str) -> None:
    assert answer(compiled(name), arch=0x4000_0003, number=20) == KILL


def test_x32_numbers_are_refused() -> None:
    assert ask("x86_64", 0x4000_0000 | 39) == REFUSE


@BOTH
@pytest.mark.parametrize("bit", [7, 17, 25, 26, 27, 28, 29, 30])
def test_no_process_starts_in_a_new_namespace(name: str, bit: int) -> None:
    clone = MACHINES[name].clone

    assert ask(name, clone, 17) == ALLOW
    assert ask(name, clone, 0x003D_0F00) == ALLOW  # a thread
    assert ask(name, clone, 17 | 1 << bit) == REFUSE
    assert ask(name, MACHINES[name].clone3) == UNKNOWN


@BOTH
def test_sockets_are_of_four_families(name: str) -> None:
    socket = MACHINES[name].socket
    answers = {family: ask(name, socket, family, 1, 0) for family in range(64)}

    assert {family for family, word in answers.items() if word == ALLOW} == {1, 2, 10, 16}
    assert ask(name, socket, 16, 3, 9) == NO_FAMILY  # netlink, but the audit channel
    assert ask(name, socket, 40, 1, 0) == NO_FAMILY  # vsock
    assert ask(name, MACHINES[name].socketpair, 1) == ALLOW
    assert ask(name, MACHINES[name].socketpair, 2) == NO_FAMILY


@BOTH
def test_terminals_and_personality_are_guarded(name: str) -> None:
    machine = MACHINES[name]

    assert ask(name, machine.ioctl, 0, 0x5412) == REFUSE
    assert ask(name, machine.ioctl, 0, 0x541C) == REFUSE
    assert ask(name, machine.ioctl, 0, 0x1_0000_5412) == REFUSE  # the kernel drops the high half
    assert ask(name, machine.ioctl, 0, 0x5401) == ALLOW
    assert ask(name, machine.personality, 0) == ALLOW
    assert ask(name, machine.personality, 0xFFFF_FFFF) == ALLOW
    assert ask(name, machine.personality, 0x4_0000) == REFUSE


def ask_container(name: str, call: str, *arguments: int) -> int:
    """Return what libseccomp makes of the container profile: any rule that fits decides."""
    profile = json.loads(container_profile(name))
    padded = (*arguments, *[0] * 6)[:6]
    words = {
        ALLOW
        if rule["action"] == "SCMP_ACT_ALLOW"
        else (REFUSE & ~0xFFFF) | int(rule.get("errnoRet", errno.EPERM))
        for rule in profile["syscalls"]
        if call in rule["names"]
        and all(padded[a["index"]] & a["value"] == a["valueTwo"] for a in rule["args"])
    }
    assert len(words) <= 1, "two rules fit, and the library may take either"
    return words.pop() if words else REFUSE


@BOTH
def test_containers_are_told_the_same(name: str) -> None:
    machine = MACHINES[name]
    high = 1 << 32
    cases = [
        *(("socket", (family, 1, 0)) for family in range(64)),
        *(("socket", (16, 3, protocol)) for protocol in range(32)),
        *(("socketpair", (family,)) for family in range(64)),
        *(("clone", (17 | 1 << bit,)) for bit in range(32)),
        *(("personality", (value,)) for value in (0, 8, 0x4_0000, 0xFFFF_FFFF)),
        *(("ioctl", (0, value)) for value in range(0x5400, 0x5430)),
        ("ioctl", (0, high | 0x5412)),
        ("ioctl", (0, high | 0x5401)),
        ("socket", (high | 1, 1, 0)),
        ("socket", (high | 40, 1, 0)),
        ("clone3", ()),
    ]
    different = [
        (call, arguments)
        for call, arguments in cases
        if ask(name, getattr(machine, call), *arguments) != ask_container(name, call, *arguments)
    ]

    assert different == []
    plain = {call for call in allowed_numbers(name) if ask_container(name, call) == ALLOW}
    assert plain == set(allowed_numbers(name))
    assert ask_container(name, "mount") == REFUSE


@pytest.mark.parametrize("values", [[0], [0xFFFF_FFFF], [1, 2, 10, 16], [0x5412, 0x541C]])
def test_all_other_numbers_are_described_once(values: list[int]) -> None:
    rules = list(others(values))
    near = {value ^ 1 << bit for value in values for bit in range(32)} | {0, 7, 2**31, 2**32 - 1}

    for number in near | set(values):
        fitting = sum(number & mask == value for mask, value in rules)
        assert fitting == (0 if number in values else 1)
    assert sum(2 ** (32 - mask.bit_count()) for mask, _ in rules) == 2**32 - len(values)
