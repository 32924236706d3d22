"""Why a driver is told to stop, from the mildest reason to the gravest."""

from enum import StrEnum


class Stop(StrEnum):
    """In the order of gravity; the gravest one asked for counts."""

    NONE = ""
    DRAIN = "drain"  # give the run back at the next step boundary
    PAUSE = "pause"
    ABANDON = "abandon"  # give it back now, whatever it is doing
    DEADLINE = "deadline"
    CANCEL = "cancel"

    @property
    def gravity(self) -> int:
        return _GRAVITY[self]

    def interrupts(self) -> bool:
        """Whether it ends what the run waits for, instead of waiting for a step boundary."""
        return self in _AT_ONCE


_GRAVITY = {stop: gravity for gravity, stop in enumerate(Stop)}
_AT_ONCE = frozenset({Stop.ABANDON, Stop.DEADLINE, Stop.CANCEL})
