"""Secrets, brought to what their documents say; no answer holds a value."""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from agents.services.applied.changes import Applied
from agents.services.documents import Document
from agents.spec import document_parse
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.secrets import secret_list
from governance.services.secrets import secret_set

if TYPE_CHECKING:
    from governance.models import Workspace


class _SecretSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    value: str


def secret_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    access.require(actor, Perm.SECRET_EDIT, workspace)
    access.require(actor, Perm.SECRET_VIEW, workspace)  # the answer tells what was there
    before = _shown_secret(actor, workspace, document.name)
    spec = document_parse(_SecretSpec, document.spec, "secret")
    secret_set(
        actor,
        workspace=workspace,
        name=document.name,
        value=spec.value,
        description=document.description,
    )
    return Applied(before=before, after=_shown_secret(actor, workspace, document.name) or {})


def secret_tried(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """As `secret_applied`, but every value counts as another one: a dry run, which leaves no trace,
    must not tell whether a guess is right."""
    applied = secret_applied(actor, workspace, document)
    if applied.before is None:
        return applied
    anew = {"version": applied.before["version"] + 1, "value": "(sealed anew)"}
    return Applied(before=applied.before, after={**applied.after, **anew})


def _shown_secret(actor: Actor, workspace: "Workspace", name: str) -> dict[str, Any] | None:
    row = secret_list(actor, workspace).filter(name=name).first()
    if row is None:
        return None
    return {"description": row.description, "version": row.version, "value": "(sealed)"}
