"""What changed in one row, field by field, for whoever may see activity where the row is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import ForeignKey, Model
from django.utils.translation import gettext_lazy as _

from governance.contracts import Actor
from governance.selectors.activity import activity_list

SHOWN: Final = 100
_VERBS: Final = {
    LogEntry.Action.CREATE: _("created"),
    LogEntry.Action.UPDATE: _("changed"),
    LogEntry.Action.DELETE: _("deleted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    by: str
    verb: str
    at: datetime
    fields: tuple[FieldChange, ...]


def changes_of(actor: Actor, row: Model) -> list[Change]:
    """Return the newest changes of a row, newest first."""
    kind = ContentType.objects.get_for_model(row, for_concrete_model=False)
    entries = activity_list(actor).filter(content_type=kind, object_pk=str(row.pk))
    return [_change(row, entry) for entry in entries[:SHOWN]]


def _change(row: Model, entry: LogEntry) -> Change:
    data = entry.additional_data or {}
    by = data.get("by") or (entry.actor.get_username() if entry.actor else "")
    fields = entry.changes_dict if entry.action == LogEntry.Action.UPDATE else {}
    return Change(
        by=by,
        verb=str(_VERBS.get(entry.action, _("touched"))),
        at=entry.timestamp,
        fields=tuple(_field(row, name, value) for name, value in fields.items()),
    )


def _field(row: Model, name: str, value: object) -> FieldChange:
    if isinstance(value, dict):  # relations: what was done, and to which rows
        done = f"{value.get('operation', '')} {', '.join(map(str, value.get('objects', ())))}"
        return FieldChange(name=name, before="", after=done.strip())
    before, after = value if isinstance(value, list | tuple) and len(value) == 2 else ("", value)
    return FieldChange(name=name, before=_text(row, name, before), after=_text(row, name, after))


def _text(row: Model, name: str, value: object) -> str:
    """Write a value; another row by its name, where it belongs to the same workspace or to none."""
    if value in {None, "None"}:
        return ""
    known = {field.name: field for field in row._meta.get_fields()}
    field = known.get(name)
    if not isinstance(field, ForeignKey):
        return str(value)
    other = field.related_model._base_manager.filter(pk=value).first()
    if getattr(other, "workspace_id", None) not in {None, getattr(row, "workspace_id", None)}:
        return str(value)
    return str(other or value)
