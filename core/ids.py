"""Identifiers: time-ordered UUIDs (version 7, RFC 9562), the only source of a new id.

Time order keeps primary-key inserts at the right edge of the index, which is what makes a grouped
insert cheap, and makes a list ordered by id a list ordered by time of birth.
"""

import os
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last_millisecond = 0
_counter = 0
_random = b""  # fetched in blocks: one system call for many ids
_random_at = 0
_RANDOM_BLOCK = 8 * 512

_COUNTER_BITS = 12
_COUNTER_MAX = (1 << _COUNTER_BITS) - 1


def new_id() -> UUID:
    """Return a new version 7 UUID, strictly increasing within this process.

    Safe to call from any thread. The 12 bits after the version are a counter within the
    millisecond; when it runs over, the time part moves one millisecond ahead of the clock.
    """
    global _last_millisecond, _counter, _random, _random_at
    now = time.time_ns() // 1_000_000
    with _lock:
        if _random_at >= len(_random):
            _random, _random_at = os.urandom(_RANDOM_BLOCK), 0
        tail = _random[_random_at : _random_at + 8]
        _random_at += 8
        if now > _last_millisecond:
            _last_millisecond, _counter = now, 0
        elif _counter < _COUNTER_MAX:
            _counter += 1
        else:
            _last_millisecond, _counter = _last_millisecond + 1, 0
        millisecond, counter = _last_millisecond, _counter
    return UUID(
        int=(millisecond & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | counter << 64
        | 0b10 << 62
        | (int.from_bytes(tail, "big") & 0x3FFF_FFFF_FFFF_FFFF)
    )


def first_id_at(epoch_seconds: float) -> UUID:
    """Return the smallest version 7 UUID of a moment, for finding ids made since."""
    millisecond = max(int(epoch_seconds * 1000), 0)
    return UUID(int=(millisecond & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | 0b10 << 62)


def made_at(identifier: UUID) -> float:
    """Return when a version 7 UUID was made, in epoch seconds."""
    return (identifier.int >> 80) / 1000


def _forget_after_fork() -> None:
    """A child must not hand out the random bytes its parent is about to hand out."""
    global _random, _lock
    _random, _lock = b"", threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
