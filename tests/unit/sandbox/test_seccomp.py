"""The compiled filter, asked by a machine of our own what it says to each call."""

import pytest

from sandbox.seccomp import MACHINES, compiled
from sandbox.seccomp.calls import allowed_numbers
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
