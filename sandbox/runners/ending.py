"""Finishing what has been begun; see `core.finishing`."""

from core.finishing import to_the_end, undivided

__all__ = ["to_the_end", "undivided"]
