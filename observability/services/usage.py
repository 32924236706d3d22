"""Folding the trace into hours of usage: each answer of a model once, however often it is tried.

A batch of settled events is read, then written with the cursor in one short transaction: whoever
finds the cursor moved meanwhile has written nothing. Transactions are short because the live view
waits for the oldest one that writes.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import msgspec
from django.db import DatabaseError, transaction

from core import clock
from core.errors import DomainError
from core.pausepoints import reach
from governance.selectors.workspaces import workspace_ids
from observability.contracts import DescribeAnswers, ModelAnswer, UsageKey, UsageSum
from observability.models import UsageCursor, UsageHour
from observability.selectors.answers import answers_settled, hour_of, workspaces_with_news

logger = logging.getLogger(__name__)

BATCH: Final = 2_000
_KEY: Final = ("workspace_id", "hour", "agent", "model", "provider", "user")
_SUMS: Final = tuple(field.name for field in fields(UsageSum))

_Cell: TypeAlias = tuple[datetime, UsageKey]


def usage_fold_all(describe: DescribeAnswers, *, seconds: float = 20.0) -> int:
    """Fold what every workspace has, for at most about `seconds`; returns the answers folded.

    Safe to run by many at the same time. A workspace that cannot be folded keeps no other waiting.
    """
    until = clock.monotonic() + seconds
    known = set(UsageCursor.objects.values_list("workspace_id", flat=True))
    UsageCursor.objects.bulk_create(
        [UsageCursor(workspace_id=each) for each in workspace_ids() if each not in known],
        ignore_conflicts=True,
    )
    folded = 0
    for workspace_id in workspaces_with_news():
        try:
            while clock.monotonic() < until and (news := usage_fold(workspace_id, describe)):
                folded += news
        except (DomainError, DatabaseError, OverflowError, msgspec.MsgspecError) as error:
            # What one workspace's answers say must not stop the counting of all others.
            logger.error(
                "usage_not_folded", extra={"workspace": str(workspace_id), "error": str(error)}
            )
    return folded


def usage_fold(workspace_id: UUID, describe: DescribeAnswers, *, limit: int = BATCH) -> int:
    """Fold one batch of a workspace; returns how many answers, 0 when there is nothing to do.

    Also 0 when somebody else folded meanwhile: then nothing was written here.

    Raises:
        ConflictError: The database was restored from another one.
    """
    cursor, _ = UsageCursor.objects.get_or_create(workspace_id=workspace_id)
    position = (cursor.txid, cursor.event_id)
    answers, reached = answers_settled(workspace_id, position, limit=limit)
    if reached == position:
        return 0
    sums = usage_summed(answers, describe)
    reach("usage.after_read")
    with transaction.atomic():
        moved = UsageCursor.objects.filter(
            workspace_id=workspace_id, txid=position[0], event_id=position[1]
        ).update(txid=reached[0], event_id=reached[1], folded_at=clock.now())
        if not moved:
            return 0
        _add(workspace_id, sums)
        reach("usage.before_commit")
    return len(answers)


def usage_rebuild(workspace_id: UUID, describe: DescribeAnswers) -> int:
    """Sum a workspace anew from its whole trace; returns the answers folded.

    What is shown meanwhile says until when it is counted. Stopped half-way, it goes on by itself.
    """
    with transaction.atomic():
        UsageCursor.objects.update_or_create(
            workspace_id=workspace_id, defaults={"txid": 0, "event_id": 0, "folded_at": None}
        )
        UsageHour.objects.filter(workspace_id=workspace_id).delete()
    folded = 0
    while news := usage_fold(workspace_id, describe):
        folded += news
    return folded


def usage_summed(answers: list[ModelAnswer], describe: DescribeAnswers) -> Mapping[_Cell, UsageSum]:
    """Add answers up by hour and by whose they are."""
    sums: dict[_Cell, UsageSum] = defaultdict(UsageSum)
    for answer, key in zip(answers, describe(answers), strict=True):
        if key is not None:
            sums[(hour_of(answer.at), key)] += UsageSum.of(answer)
    return sums


def _add(workspace_id: UUID, sums: Mapping[_Cell, UsageSum]) -> None:
    """Add to the hours. The caller holds the cursor's row, so nobody else adds to them now."""
    if not sums:
        return
    before = {
        (row.hour, UsageKey(row.agent, row.model, row.provider, row.user)): row
        for row in _rows_of(workspace_id, {hour for hour, _ in sums})
    }
    UsageHour.objects.bulk_create(
        [
            UsageHour(
                workspace_id=workspace_id,
                hour=hour,
                **key._asdict(),
                **asdict(more + _sum_of(before.get((hour, key)))),
            )
            for (hour, key), more in sums.items()
        ],
        update_conflicts=True,
        unique_fields=_KEY,
        update_fields=_SUMS,
        batch_size=500,
    )


def _rows_of(workspace_id: UUID, hours: set[datetime]) -> Iterable[UsageHour]:
    return UsageHour.objects.filter(workspace_id=workspace_id, hour__in=hours)


def _sum_of(row: UsageHour | None) -> UsageSum:
    if row is None:
        return UsageSum()
    return UsageSum(**{name: getattr(row, name) for name in _SUMS})
