"""What workers do for governance: upkeep on a schedule, and sending news to channels."""

from governance.execution.upkeep import (
    checkpoint_write,
    checkpoints_write_due,
    idempotency_purge,
    reservations_purge,
)

__all__ = [
    "checkpoint_write",
    "checkpoints_write_due",
    "idempotency_purge",
    "reservations_purge",
]
