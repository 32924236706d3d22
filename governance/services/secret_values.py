"""Opening secrets: for the processes that run work, never for an interface.

Each opening is recorded in the workspace's audit chain before the value is given out, and the value
is redacted from then on in everything this process writes.
"""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from core import clock
from core.errors import DomainError
from core.ids import new_id
from core.redaction import known_secrets
from core.sealing import keyed_digest, unseal
from governance.contracts import SYSTEM, AuditAction, AuditSubject
from governance.models import Secret
from governance.secrets.environment import EnvironmentSource
from governance.secrets.folder import FolderSource
from governance.secrets.places import Kind, SecretPlace, place_of
from governance.secrets.source import CachedSource, SecretSource, unreadable
from governance.secrets.vault import VaultSource
from governance.selectors.secrets import secret_versions
from governance.selectors.workspaces import workspace_by_id
from governance.services.audit import audit_append
from governance.services.secrets import MIN_VALUE_CHARS, PURPOSE, secret_missing

USED_AT_SECONDS = 60.0
MAX_RECORDED = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUse:
    """What a secret is opened for: a tool call or a provider, and the run it belongs to.

    What opens the same value over and over is recorded again after `every_seconds` only.
    """

    kind: str
    id: UUID
    label: str
    run_id: UUID | None = None
    every_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSecret:
    """A secret in the clear. `source` is `workspace` or the place outside."""

    name: str
    value: str = field(repr=False)
    version: int | None
    source: str


def secret_value(*, workspace_id: UUID, name: str, use: SecretUse) -> OpenedSecret:
    """Open a secret for work; for workers alone. Recorded in the audit chain before it returns.

    May take as long as the place outside may take to answer; do not hold a transaction.

    Raises:
        SecretMissingError: The workspace has none of this name.
        SecretUnreadableError: The place outside does not give it.
        SealBrokenError: The row was copied or changed, or its key is gone.
    """
    place = secret_places(workspace_id, [name]).get(name)
    if place is not None:
        opened = OpenedSecret(name=name, value=_read(place), version=None, source=str(place))
        _record(workspace_id, opened, use, subject_id="")
        return opened
    row = Secret.objects.filter(workspace_id=workspace_id, name=name).first()
    if row is None:
        raise secret_missing(name)
    value = unseal(row.sealed_value, workspace_id=workspace_id, name=name, purpose=PURPOSE)
    known_secrets.remember(value)
    opened = OpenedSecret(name=name, value=value, version=row.version, source="workspace")
    _record(workspace_id, opened, use, subject_id=str(row.pk))
    return opened


def secret_places(workspace_id: UUID, names: Collection[str]) -> dict[str, SecretPlace]:
    """Return which of these names come from outside the database, and from where."""
    if not settings.SECRET_PLACES or not names:
        return {}
    workspace = workspace_by_id(workspace_id).name
    found = {name: place_of(settings.SECRET_PLACES, workspace, name) for name in names}
    return {name: place for name, place in found.items() if place is not None}


def outside_versions(workspace_id: UUID, places: dict[str, SecretPlace]) -> dict[str, str]:
    """Return which value each place has now; reads no row, may wait for a vault.

    A place that cannot be read has a version like no other, so nothing approved before holds.
    """
    found = {}
    for name, place in places.items():
        try:
            found[name] = keyed_digest(_read(place), workspace_id=workspace_id, purpose=name)
        except DomainError:
            found[name] = f"unreadable {new_id()}"
    return found


def credential_fact(workspace_id: UUID, names: Collection[str], outside: dict[str, str]) -> str:
    """Return the secrets a call would use, each with a digest of which value it has now.

    `outside` are the versions of those that do not come from rows. Reads rows, in the transaction
    it is called in.
    """
    if not names:
        return ""
    versions = secret_versions(workspace_id, [name for name in names if name not in outside])
    known = {**versions, **outside}
    return " ".join(
        f"{name}@{_short(workspace_id, name, known.get(name, 'missing'))}" for name in sorted(names)
    )


def _short(workspace_id: UUID, name: str, version: str) -> str:
    return keyed_digest(f"{name} {version}", workspace_id=workspace_id, purpose="version")[:16]


def _read(place: SecretPlace) -> str:
    value = _source(place.kind).read(place)
    if len(value) < MIN_VALUE_CHARS:
        raise unreadable(
            place,
            f"it has fewer than {MIN_VALUE_CHARS} characters and cannot be kept out of logs",
            "Use a longer one.",
        )
    known_secrets.remember(value)
    return value


def _record(workspace_id: UUID, opened: OpenedSecret, use: SecretUse, *, subject_id: str) -> None:
    now = clock.now()
    once = (workspace_id, opened.name, subject_id, opened.version, opened.source, use.id)
    if use.every_seconds and _recorded_at.get(once, -1.0) > clock.monotonic() - use.every_seconds:
        return
    with transaction.atomic():
        if subject_id:
            # Once a minute is enough for people; the audit chain has every use.
            Secret.objects.filter(pk=subject_id).exclude(
                used_at__gt=now - timedelta(seconds=USED_AT_SECONDS)
            ).update(used_at=now)
        audit_append(
            SYSTEM,
            action=AuditAction.SECRET_USED,
            workspace_id=workspace_id,
            subject=AuditSubject(kind="secret", id=subject_id, label=opened.name),
            payload={
                "for": use.kind,
                "id": str(use.id),
                "label": use.label,
                "run": None if use.run_id is None else str(use.run_id),
                "version": opened.version,
                "source": opened.source,
            },
        )
    if use.every_seconds:
        if len(_recorded_at) >= MAX_RECORDED:
            _recorded_at.clear()
        _recorded_at[once] = clock.monotonic()


_recorded_at: dict[tuple[object, ...], float] = {}
_lock = threading.Lock()
_sources: dict[Kind, SecretSource] = {}


def _source(kind: Kind) -> SecretSource:
    with _lock:
        found = _sources.get(kind)
        if found is None:
            found = _sources[kind] = _made(kind)
        return found


def _made(kind: Kind) -> SecretSource:
    if kind is Kind.ENVIRONMENT:
        return EnvironmentSource()
    if kind is Kind.FILE:
        return FolderSource(settings.SECRETS_DIR)
    return CachedSource(VaultSource(settings.VAULT), seconds=settings.VAULT_CACHE_SECONDS)


def forget_sources() -> None:
    """Look every secret up anew, and record every use; for tests that change the settings."""
    with _lock:
        _sources.clear()
    _recorded_at.clear()
