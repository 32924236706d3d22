"""Declared tools: an endpoint or a command described as data, checked before anybody calls it."""

import re
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from urllib.parse import urlsplit

import jsonschema
import msgspec
from django.db import transaction
from jsonschema.exceptions import SchemaError

from core.errors import DomainError, InvalidInputError
from core.redaction import redact
from governance import access
from governance.contracts import Actor, Perm
from governance.errors import NameTakenError
from governance.secrets.names import references, unreferenced
from governance.services.activity import recorded_as
from governance.services.known_secrets import secrets_learn
from governance.services.secrets import secrets_referable
from plugins.commands.definition import HostSecret
from plugins.contracts import EffectClass, ToolKind
from plugins.declared import declared_tool, definition_of
from plugins.http.tool import METHODS, secrets_of
from plugins.models import ToolDefinition
from plugins.registry import builtin_specs
from plugins.schemas import unusable
from plugins.services.manifests import COMMAND_FIELDS, HTTP_FIELDS, command_complaints, foreign
from sandbox.contracts import Isolation

if TYPE_CHECKING:
    from governance.models import Workspace

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
_FORM = "Use 1 to 63 lower-case letters, digits, and inner `-` or `_`."
MAX_SCHEMA_BYTES = 64 * 1024
MAX_URL_CHARACTERS = 2_000
MAX_DESCRIPTION_CHARACTERS = 4_000
MAX_HEADERS_BYTES = 8 * 1024
MAX_TIMEOUT_SECONDS = 600
MAX_AROUND_REFERENCE = 32


class ToolFields(TypedDict, total=False):
    description: str
    input_schema: dict[str, Any]
    effect: str
    is_privileged: bool
    is_enabled: bool
    url: str
    method: str
    headers: dict[str, str]
    probe_url: str
    timeout_seconds: float
    kind: str
    command: str
    engine: str
    net: list[str]
    limits: dict[str, Any]
    secrets: list[Any]
    output_schema: dict[str, Any] | None
    probe_command: str
    plan_command: str


class _Fields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The declaration as it is stored; types are checked strictly."""

    description: str
    url: str = ""
    input_schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object"})
    effect: EffectClass = EffectClass.IRREVERSIBLE
    is_privileged: bool = True
    is_enabled: bool = True
    method: str = "POST"
    headers: dict[str, str] = {}
    probe_url: str = ""
    timeout_seconds: float = 30.0
    kind: ToolKind = ToolKind.HTTP
    command: str = ""
    engine: Isolation = Isolation.SITE
    net: list[str] = []
    limits: dict[str, int | float | None] = {}
    secrets: list[str | HostSecret] = []
    output_schema: dict[str, Any] | None = None
    probe_command: str = ""
    plan_command: str = ""


TOOL_FIELDS = _Fields.__struct_fields__
# Who changes one of these decides where the tool's secrets go.
_SENDING_FIELDS = (
    "kind", "url", "probe_url", "headers", "command", "probe_command", "engine", "net", "secrets",
)  # fmt: skip


def tool_create(
    *, actor: Actor, workspace: "Workspace", name: str, **fields: Unpack[ToolFields]
) -> ToolDefinition:
    """Declare a tool.

    Raises:
        NameTakenError: the workspace or the built-ins have a tool of this name.
        InvalidInputError: the declaration cannot work; with every mistake by its field.
    """
    access.require(actor, Perm.TOOL_EDIT, workspace)
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"{name[:60]!r} cannot be the name of a tool.", remedy=_FORM, fields={"name": [_FORM]}
        )
    secrets_learn([workspace.pk])
    wanted = _read(fields)
    with recorded_as(actor), transaction.atomic():
        taken = ToolDefinition.objects.filter(workspace=workspace, name=name).exists()
        if taken or name in builtin_specs():
            where = "in this workspace already" if taken else "built in"
            raise NameTakenError(f"There is a tool {name!r} {where}.", remedy="Use another name.")
        row = ToolDefinition(workspace=workspace, name=name)
        _refer(actor, row, wanted)
        _take(row, wanted)
        row.save()
    return row


def tool_update(
    *, actor: Actor, tool: ToolDefinition, **fields: Unpack[ToolFields]
) -> ToolDefinition:
    """Change what is given; runs that have begun keep the tool they were started with."""
    access.require(actor, Perm.TOOL_EDIT, tool.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = ToolDefinition.objects.select_for_update().get(pk=tool.pk)
        before = tool_fields(row)
        secrets_learn([row.workspace_id])
        wanted = _read({**before, **fields})
        if any(_stored(wanted, name) != before[name] for name in _SENDING_FIELDS):
            _refer(actor, row, wanted)
        _take(row, wanted)
        if tool_fields(row) != before:
            row.save()
    return row


def tool_delete(*, actor: Actor, tool: ToolDefinition) -> None:
    """Delete a declared tool; runs that have begun keep it, agents that name it do not start."""
    access.require(actor, Perm.TOOL_EDIT, tool.workspace_id)
    with recorded_as(actor), transaction.atomic():
        ToolDefinition.objects.get(pk=tool.pk).delete()


def tool_fields(row: ToolDefinition) -> dict[str, Any]:
    """Return what is stored of a tool in the form it is given in."""
    return {name: getattr(row, name) for name in TOOL_FIELDS}


def tool_defaults() -> dict[str, Any]:
    """Return what a declaration that leaves something out means by it."""
    plain = _Fields(description="")
    return {
        name: msgspec.to_builtins(getattr(plain, name))
        for name in TOOL_FIELDS
        if name != "description"
    }


def _read(fields: Any) -> _Fields:
    try:
        wanted = msgspec.convert(dict(fields), _Fields)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at `$")
        field = place.strip("`.").split(".")[0].split("[")[0]
        if not field and "`" in sentence:
            field = sentence.split("`")[1]
        raise InvalidInputError(
            f"The tool's declaration is wrong: {sentence}.",
            fields={field or "tool": [f"{sentence}."]},
        ) from None
    wrong = _complaints(wanted)
    if wrong:
        first = "; ".join(f"{place}: {sentences[0]}" for place, sentences in wrong.items())
        raise InvalidInputError(
            f"The tool's declaration is wrong: {first}",
            remedy="Mend the named fields.",
            fields=wrong,
        )
    return wanted


def _complaints(wanted: _Fields) -> dict[str, list[str]]:
    found = {
        "description": _description_complaint(wanted.description),
        "input_schema": _schema_complaint(wanted.input_schema),
        "timeout_seconds": ""
        if 0 < wanted.timeout_seconds <= MAX_TIMEOUT_SECONDS
        else f"Must be above 0 and at most {MAX_TIMEOUT_SECONDS}.",
    }
    if wanted.kind is ToolKind.HTTP:
        found |= {
            "url": _url_complaint(wanted.url),
            "probe_url": _url_complaint(wanted.probe_url) if wanted.probe_url else "",
            "headers": _header_complaint(wanted.headers),
            "method": "" if wanted.method in METHODS else f"Use one of {', '.join(METHODS)}.",
            **foreign(wanted, COMMAND_FIELDS, _Fields(description=""), "a command"),
        }
    else:
        found |= command_complaints(wanted)
        if wanted.output_schema is not None:
            found["output_schema"] = _schema_complaint(wanted.output_schema, is_object=False)
        found |= foreign(wanted, HTTP_FIELDS, _Fields(description=""), "an HTTP endpoint")
    return {place: [sentence] for place, sentence in found.items() if sentence}


def _description_complaint(text: str) -> str:
    if not text.strip():
        return "Say what the tool does: models choose by it."
    if len(text) > MAX_DESCRIPTION_CHARACTERS:
        return f"Longer than {MAX_DESCRIPTION_CHARACTERS} characters."
    return ""


def _url_complaint(url: str) -> str:
    if len(url) > MAX_URL_CHARACTERS:
        return f"Longer than {MAX_URL_CHARACTERS} characters."
    if not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        return "Holds blanks, backslashes or characters outside ASCII; percent-encode them."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "Not a URL; give one such as https://api.example.com/orders."
    if parts.scheme not in {"http", "https"} or not host:
        return "Must begin with http:// or https:// and name a host."
    if parts.username is not None or parts.password is not None:
        return "Holds a user name or password; a URL is shown to everybody who may see the tool."
    if redact({"url": url}) != {"url": url}:
        return "Holds what looks like a secret; a URL is shown to everybody who may see the tool."
    return ""


def _schema_complaint(schema: dict[str, Any], *, is_object: bool = True) -> str:
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        return f"Larger than {MAX_SCHEMA_BYTES} bytes."
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = "/".join(str(part) for part in error.absolute_path) or "the top"
        return f"Not a JSON Schema (2020-12), at {place}: {error.message[:300]}"
    except RecursionError:
        return "Nested too deeply."
    if is_object and schema.get("type") != "object":
        return 'Arguments are an object: the schema\'s `type` must be "object".'
    if remote := _remote_reference(schema):
        return f"Refers to {remote[:200]!r}; only references inside the schema (#…) are followed."
    if why := unusable(schema):
        return f"Cannot be checked: {why}."
    return ""


def _remote_reference(schema: Any) -> str:
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                is_reference = name in {"$ref", "$dynamicRef"} and isinstance(inner, str)
                if is_reference and not inner.startswith("#"):
                    return str(inner)
                pending.append(inner)
        elif isinstance(value, list):
            pending.extend(value)
    return ""


def _header_complaint(headers: dict[str, str]) -> str:
    if len(msgspec.json.encode(headers)) > MAX_HEADERS_BYTES:
        return f"Larger than {MAX_HEADERS_BYTES} bytes."
    plain = {name: value for name, value in headers.items() if not references(value)}
    around = [unreferenced(value) for value in headers.values() if references(value)]
    if redact(dict(plain)) != plain or any(_is_secret(text) for text in around):
        return (
            "Hold what looks like a secret. Headers of a tool are shown to everybody who may see "
            "it; set the credential as a secret and write ${secret:NAME} here."
        )
    return ""


def _is_secret(text: str) -> bool:
    """What stands around a reference is the name of a scheme or a user, not a credential."""
    return len(text) > MAX_AROUND_REFERENCE or redact(text) != text


def _refer(actor: Actor, row: ToolDefinition, wanted: _Fields) -> None:
    """Refuse secrets that are not there, and to whoever may not have them sent somewhere."""
    named = {each if isinstance(each, str) else each.name for each in wanted.secrets}
    for field, names in (("headers", secrets_of(wanted.headers)), ("secrets", sorted(named))):
        secrets_referable(actor, workspace_id=row.workspace_id, names=names, field=field)


def _stored(wanted: _Fields, name: str) -> Any:
    """Return a field as a row holds it."""
    return msgspec.to_builtins(getattr(wanted, name))


def _take(row: ToolDefinition, wanted: _Fields) -> None:
    for name in TOOL_FIELDS:
        setattr(row, name, _stored(wanted, name))
    try:
        declared_tool(definition_of(row))
    except (InvalidInputError, msgspec.ValidationError) as error:
        sentence = error.message if isinstance(error, DomainError) else str(error)
        fields = getattr(error, "fields", None) or {"tool": [sentence]}
        raise InvalidInputError(sentence, fields=fields) from None
