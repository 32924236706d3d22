"""A machine for classic BPF, as far as seccomp filters use it: what the kernel would answer."""

import struct

LOAD, EQUAL, GREATER, AT_LEAST, MASK, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06


def answer(program: bytes, *, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Run the program on one system call."""
    padded = (*arguments, *[0] * 6)[:6]
    data = struct.pack("=IIQ6Q", number, arch, 0, *padded)
    instructions = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        if code == RETURN:
            return int(value)
        if code == LOAD:
            accumulator = struct.unpack_from("=I", data, value)[0]
            continue
        is_true = {
            EQUAL: accumulator == value,
            GREATER: accumulator > value,
            AT_LEAST: accumulator >= value,
            MASK: bool(accumulator & value),
        }[code]
        position += if_true if is_true else if_false
