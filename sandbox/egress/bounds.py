"""How much a sandbox may ask of its gateway. Sizes in bytes, times in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`sent_bytes` and `received_bytes` are for all connections of one call together."""

    connections: int = 64
    records: int = 1000
    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    connect_seconds: float = 10.0
    idle_seconds: float = 120.0
    total_seconds: float = 3600.0
    sent_bytes: int = 256 * 1024 * 1024
    received_bytes: int = 1024 * 1024 * 1024
