"""Rotating the site's key: every sealed value is sealed anew under the current one.

Safe while the site runs and to repeat: a row is changed only if it still holds what was read, what
is stored meanwhile is sealed with the current key already, and what is done is not done again, so
that a rotation that was interrupted goes on where it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from core.pausepoints import reach
from core.sealing import SealBrokenError, needs_resealing, reseal
from governance.contracts import SYSTEM, AuditAction, AuditSubject
from governance.registry import SealedColumn, sealed_columns
from governance.services.audit import audit_append

BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRotation:
    """What became of one column's values; `broken` names the rows that do not open."""

    label: str
    current: int
    resealed: int
    broken: tuple[str, ...]


def keys_rotate(*, dry_run: bool = False) -> list[ColumnRotation]:
    """Seal everything anew that is not under the current key; for the operator's command.

    A value that does not open is left as it is and named. With `dry_run` nothing is written.
    """
    done = [_column(column, dry_run=dry_run) for column in sealed_columns()]
    resealed = sum(each.resealed for each in done)
    if resealed and not dry_run:
        audit_append(
            SYSTEM,
            action=AuditAction.SECRET_CHANGED,
            workspace_id=None,
            subject=AuditSubject(kind="site_key"),
            payload={
                "what": "sealed anew",
                "values": {each.label: each.resealed for each in done},
            },
        )
    return done


def _column(column: SealedColumn, *, dry_run: bool) -> ColumnRotation:
    current = resealed = 0
    broken = []
    for key in _keys(column):
        try:
            changed = _row(column, key, dry_run=dry_run)
        except SealBrokenError:
            broken.append(str(key))
            continue
        resealed += changed
        current += not changed
    return ColumnRotation(
        label=column.label, current=current, resealed=resealed, broken=tuple(broken)
    )


def _keys(column: SealedColumn) -> Iterator[object]:
    """Yield the keys of all rows that hold a value, a batch at a time."""
    rows = column.model._base_manager.exclude(**{column.column: None}).order_by("pk")
    last: object = None
    while True:
        batch = rows if last is None else rows.filter(pk__gt=last)
        keys = list(batch.values_list("pk", flat=True)[:BATCH])
        yield from keys
        if len(keys) < BATCH:
            return
        last = keys[-1]


def _row(column: SealedColumn, key: object, *, dry_run: bool) -> bool:
    """Seal one value anew; False when it is under the current key, or gone."""
    with transaction.atomic():
        rows = column.model._base_manager
        row: Any = rows.select_for_update(of=("self",)).filter(pk=key).first()
        sealed = None if row is None else getattr(row, column.column)
        if row is None or sealed is None:
            return False
        workspace_id = row.workspace_id
        if not needs_resealing(sealed, workspace_id=workspace_id, purpose=column.purpose):
            return False
        anew = reseal(
            sealed, workspace_id=workspace_id, name=column.name(row), purpose=column.purpose
        )
        reach("rotation.before_write")
        if not dry_run:
            rows.filter(pk=key).update(**{column.column: anew})
        return True
