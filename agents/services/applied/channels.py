"""Channels, brought to what their documents say; no answer holds a secret, or an address whole.

What a document leaves out is set to its default, except the secret and the address: they can be
given when the documents are sent, and stay where they are not.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.services.applied.changes import Applied
from agents.services.documents import Document
from agents.spec import document_parse
from core.errors import InvalidInputError
from core.known_values import REDACTED
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, ChannelKind, Perm
from governance.selectors.channels import address_shown, channel_list
from governance.services.channels import (
    TOLD_OF,
    channel_create,
    channel_secret_stays,
    channel_update,
)

if TYPE_CHECKING:
    from governance.models import Channel, Workspace

_KEPT: Final = "(sealed)"
_ANOTHER: Final = "(sealed, another one)"
_MADE: Final = "(made here and sealed; make another on the channel's page to see it)"
_ID = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class ChannelSpec(BaseModel):
    """`url` and `secret` absent: as they are; `events` absent: all there are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    kind: str
    url: str | None = Field(default=None, min_length=1, max_length=2_000)
    addresses: list[str] = []
    events: list[str] = [event.value for event in TOLD_OF]
    acts_as: str | None = None
    identities: dict[_ID, str] = {}
    is_enabled: bool = True
    secret: str | None = Field(default=None, min_length=1, max_length=500)


def channel_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    return _channel(actor, workspace, document, is_tried=False)


def channel_tried(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """As `channel_applied`, but every secret counts as another one: a dry run, which leaves no
    trace, must not tell whether a guess is right."""
    return _channel(actor, workspace, document, is_tried=True)


def _channel(
    actor: Actor, workspace: "Workspace", document: Document, *, is_tried: bool
) -> Applied:
    access.require(actor, Perm.CHANNEL_EDIT, workspace)
    access.require(actor, Perm.CHANNEL_VIEW, workspace)  # the answer tells what was there
    spec = document_parse(ChannelSpec, document.spec, "channel")
    _refuse_shortened(spec)
    row = channel_list(actor, workspace).filter(name=document.name).first()
    if row is None:
        return _made(actor, workspace, document.name, spec)
    if spec.kind != row.kind:
        raise InvalidInputError(
            "The kind of a channel cannot change.",
            remedy="Make another channel.",
            fields={"kind": [f"is {row.kind!r} and cannot change"]},
        )
    before, old_url = _shown(row), row.url
    changed = _changed(row, spec)
    if spec.secret is not None:
        stays = channel_secret_stays(actor, channel=row, secret=spec.secret)
        if is_tried or not stays:
            changed["secret"] = spec.secret
    if changed:
        channel_update(actor, channel=row, **changed)
        row = channel_list(actor, workspace).get(pk=row.pk)
    after = _shown(row)
    if row.url != old_url and after.get("url") == before.get("url"):
        after["url"] = f"{after['url']} (another path)"
    if "secret" in changed:
        after["secret"] = _ANOTHER
    return Applied(before={"spec": before}, after={"spec": after})


def _made(actor: Actor, workspace: "Workspace", name: str, spec: ChannelSpec) -> Applied:
    given: Any = spec.model_dump(exclude_none=True)
    made = channel_create(actor, workspace=workspace, name=name, **given)
    after = _shown(channel_list(actor, workspace).get(pk=made.channel.pk))
    if made.secret:
        after["secret"] = _MADE
    return Applied(before=None, after={"spec": after})


def _changed(row: "Channel", spec: ChannelSpec) -> Any:
    """Return the fields that the document wants otherwise, as the service takes them."""
    wanted: dict[str, Any] = {
        "addresses": list(dict.fromkeys(spec.addresses)),
        "events": sorted(set(spec.events)),
        "acts_as": spec.acts_as or "",
        "identities": spec.identities,
        "is_enabled": spec.is_enabled,
    }
    if spec.url is not None:
        wanted["url"] = spec.url.strip()
    known = _known(row)
    return {name: value for name, value in wanted.items() if value != known[name]}


def _known(row: "Channel") -> dict[str, Any]:
    return {
        "kind": row.kind,
        "url": row.url,
        "addresses": list(row.addresses),
        "events": sorted(row.events),
        "acts_as": row.acts_as.username if row.acts_as else "",
        "identities": {each.external_id: each.user.username for each in row.identities.all()},
        "is_enabled": row.is_enabled,
    }


def _shown(row: "Channel") -> dict[str, Any]:
    """Return what an answer may tell: whoever knows the path of some addresses can post there, and
    answers end up in logs."""
    shown = _told(row, url=address_shown(row.url))
    return shown if row.sealed_secret is None else shown | {"secret": _KEPT}


def channel_document(row: "Channel", *, is_editor: bool) -> dict[str, Any]:
    """Return the `spec` of a channel, with its address for whoever may change channels.

    An address that holds what looks like a secret is left out: it stays as it is when the document
    is applied where the channel is.
    """
    is_told = is_editor and redact_text(row.url) == row.url
    return _told(row, url=row.url if is_told else "")


def _told(row: "Channel", *, url: str) -> dict[str, Any]:
    """Return what there is to say of a channel of its kind."""
    spec = _known(row) | {"url": url}
    names = ("kind", "events", "is_enabled", *_OF_KIND[ChannelKind(row.kind)])
    return {name: spec[name] for name in names if name in _ALWAYS or spec[name]}


_ALWAYS: Final = frozenset({"kind", "events", "is_enabled"})
_OF_KIND: Final[Mapping[ChannelKind, Sequence[str]]] = {
    ChannelKind.WEBHOOK: ("url", "acts_as"),
    ChannelKind.SLACK: ("url", "identities"),
    ChannelKind.EMAIL: ("addresses",),
}


def _refuse_shortened(spec: ChannelSpec) -> None:
    """Refuse an address as it is shown to those who may not know it."""
    if spec.url is not None and (REDACTED in spec.url or spec.url.endswith("/…")):
        sentence = "This is not the whole address. Write it whole, or leave it out: then it stays."
        raise InvalidInputError(sentence, fields={"url": [sentence]})
