"""Learning what must not be written: a process knows the secrets of each workspace whose text it
takes, before it takes it, whether or not it has opened one of them itself.

What is learned is every sealed value of the workspace (secrets, keys of providers, secrets of
channels), and what the site takes from its own environment and files. A vault is not asked: it
would see a reading that is none, and a worker would wait for it; its values are known to a process
from their first use there. Learning is no use of a secret and is not recorded: nothing gets it.

A workspace has a stamp that changes with its values, so a process that knows them asks one query to
be sure. The stamp is never the same twice, so a change that is rolled back leaves nothing wrong.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.conf import settings

from core import clock
from core.ids import new_id
from core.redaction import known_secrets
from core.sealing import SealBrokenError, unseal
from governance.errors import SecretUnreadableError
from governance.models import Workspace
from governance.registry import SealedColumn, sealed_columns
from governance.secrets.environment import EnvironmentSource
from governance.secrets.folder import FolderSource
from governance.secrets.names import whole_reference
from governance.secrets.places import Kind, SecretPlace
from governance.secrets.source import SecretSource

logger = logging.getLogger(__name__)

MAX_WORKSPACES = 4_096
OUTSIDE_SECONDS = 30.0  # how old what was read from files may be
_OUTSIDE = "outside"


class _Opened(NamedTuple):
    sealed: bytes
    value: str  # empty where there is nothing to look for


_Values: TypeAlias = dict[tuple[str, Any], _Opened]


class _Learned(NamedTuple):
    stamp: UUID
    values: _Values


_lock = threading.Lock()
_learned: OrderedDict[UUID, _Learned] = OrderedDict()
_outside_at: float | None = None
_unreadable: set[SecretPlace] = set()


def secrets_changed(workspace_id: UUID) -> None:
    """Say that a sealed value of the workspace was written; in the transaction that writes it."""
    Workspace.objects.filter(pk=workspace_id).update(secrets_stamp=new_id())


def secrets_learn(workspace_ids: Collection[UUID]) -> None:
    """Have this process redact the secrets of these workspaces in everything it writes from now on.

    One query for all of them where nothing has changed; safe from any thread.
    """
    if not workspace_ids:
        return
    _learn_outside()
    stamps = Workspace.objects.filter(pk__in=set(workspace_ids)).values_list("pk", "secrets_stamp")
    for workspace_id, stamp in stamps:
        with _lock:
            known = _learned.get(workspace_id)
            if known is not None:
                _learned.move_to_end(workspace_id)
        if known is None or known.stamp != stamp:
            _learn(workspace_id, stamp, {} if known is None else known.values)


def _learn(workspace_id: UUID, stamp: UUID, before: _Values) -> None:
    values: _Values = {}
    for column in sealed_columns():
        values |= _of_column(workspace_id, column, before)
    known_secrets.hold(workspace_id, [each.value for each in values.values()])
    with _lock:
        _learned[workspace_id] = _Learned(stamp, values)
        _learned.move_to_end(workspace_id)
        gone = [_learned.popitem(last=False)[0] for _ in range(len(_learned) - MAX_WORKSPACES)]
    for each in gone:
        known_secrets.let_go(each)


def _of_column(workspace_id: UUID, column: SealedColumn, before: _Values) -> _Values:
    rows = column.model._base_manager.filter(workspace_id=workspace_id)
    found: _Values = {}
    for row in rows.exclude(**{column.column: None}):
        key, sealed = (column.label, row.pk), bytes(getattr(row, column.column))
        known = before.get(key)
        if known is None or known.sealed != sealed:
            known = _Opened(sealed, _value(workspace_id, column, row, sealed))
        found[key] = known
    return found


def _value(workspace_id: UUID, column: SealedColumn, row: Any, sealed: bytes) -> str:
    try:
        value = unseal(
            sealed, workspace_id=workspace_id, name=column.name(row), purpose=column.purpose
        )
    except SealBrokenError as error:
        # Nobody else can open it either; whoever tries is told what to do.
        logger.warning(
            "secret_not_learned",
            extra={"column": column.label, "row": str(row.pk), "error": str(error)},
        )
        return ""
    return "" if whole_reference(value) else value


def _learn_outside() -> None:
    global _outside_at
    places = {p for p in settings.SECRET_PLACES.values() if p.kind is not Kind.VAULT}
    now = clock.monotonic()
    if not places or (_outside_at is not None and now - _outside_at < OUTSIDE_SECONDS):
        return
    sources: Mapping[Kind, SecretSource] = {
        Kind.ENVIRONMENT: EnvironmentSource(),
        Kind.FILE: FolderSource(settings.SECRETS_DIR),
    }
    values = []
    for place in sorted(places, key=str):
        try:
            values.append(sources[place.kind].read(place))
            _unreadable.discard(place)
        except SecretUnreadableError as error:
            if place not in _unreadable:  # said once: not every process has every place
                _unreadable.add(place)
                logger.info("secret_not_learned", extra={"error": str(error)})
    known_secrets.hold(_OUTSIDE, values)
    _outside_at = now


def forget_learned() -> None:
    """Learn everything anew; for tests that stand for a process that was started just now."""
    global _outside_at
    with _lock:
        _learned.clear()
    _outside_at = None
    _unreadable.clear()
