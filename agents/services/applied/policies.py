"""The policy of a workspace, brought to what its document says: put in force, not only drafted."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.services.applied.changes import Applied
from agents.services.documents import Document
from agents.spec import document_parse
from core.errors import InvalidInputError
from core.known_values import REDACTED
from governance import access
from governance.contracts import Actor, Perm
from governance.policy.sources import PolicyLanguage
from governance.selectors.policies import PolicyHeld
from governance.services.policies import MAX_SOURCE_CHARS
from governance.services.policy_adoption import policy_adopt

if TYPE_CHECKING:
    from governance.models import Workspace

# A workspace has one policy, which has no name of its own.
POLICY_NAME: Final = "workspace"
MAX_NOTE_CHARS: Final = 500
_Text = Annotated[str, StringConstraints(max_length=MAX_SOURCE_CHARS)]


class PolicySpec(BaseModel):
    """`note` says why, and is kept with the version that the document makes, if it makes one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    source: _Text
    language: PolicyLanguage = Field(default=PolicyLanguage.MATRIX, strict=False)
    cases: _Text = ""
    note: str = Field(default="", max_length=MAX_NOTE_CHARS)


def policy_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    for needed in (Perm.POLICY_VIEW, Perm.POLICY_EDIT, Perm.POLICY_PUBLISH):
        access.require(actor, needed, workspace)
    if document.name != POLICY_NAME:
        sentence = f"A workspace has one policy; write `name: {POLICY_NAME}`."
        raise InvalidInputError(sentence, fields={"name": [sentence]})
    spec = document_parse(PolicySpec, document.spec, "policy")
    _refuse_redacted(spec)
    adopted = policy_adopt(actor, workspace=workspace, **spec.model_dump())
    before = None if adopted.before is None else {"spec": policy_document(adopted.before)}
    return Applied(before=before, after={"spec": policy_document(adopted.after)})


def policy_document(held: PolicyHeld) -> dict[str, Any]:
    """Return the `spec` of what is in force."""
    spec = {"language": held.language, "source": held.source}
    more = {"cases": held.cases, "note": held.note}
    return spec | {name: text for name, text in more.items() if text}


def _refuse_redacted(spec: PolicySpec) -> None:
    """Refuse a text that an export left without its secrets: it would decide otherwise."""
    texts = {"source": spec.source, "cases": spec.cases}
    if found := [name for name, text in texts.items() if REDACTED in text]:
        sentence = f"It holds {REDACTED}, as exports write for secrets. Write what belongs there."
        raise InvalidInputError(sentence, fields={name: [sentence] for name in found})
