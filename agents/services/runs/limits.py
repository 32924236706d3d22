"""Limits of a run: what was given over what the agent has, and the end of its time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from agents.engine.state import Limits
from agents.models import Run
from agents.snapshot import Snapshot, snapshot_of
from agents.spec import limits_parse


def merged_limits(base: Limits, given: Mapping[str, Any] | None) -> Limits:
    """Put given limits over the agent's; raises InvalidInputError by field."""
    if not given:
        return base
    document = {**msgspec.to_builtins(base), **dict(given)}
    return msgspec.convert(limits_parse(document).model_dump(mode="json"), Limits)


def is_raised(base: Limits, chosen: Limits) -> bool:
    """Say whether `chosen` lets a run do more than `base` in any respect."""
    return any(
        before is not None and (after is None or after > before)
        for before, after in (
            (getattr(base, name), getattr(chosen, name)) for name in Limits.__struct_fields__
        )
    )


def deadline(created_at: datetime, limits: Limits) -> datetime | None:
    if limits.wall_seconds is None:
        return None
    return created_at + timedelta(seconds=limits.wall_seconds)


def limits_of_run(run: Run) -> Limits:
    if run.limits:
        return msgspec.convert(run.limits, Limits, strict=False)
    snapshot: Snapshot = snapshot_of(run.snapshot.content)
    return snapshot.limits
