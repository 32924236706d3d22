"""The JSON Schema of a declared tool, for editors; what it cannot say the service checks."""

from typing import Any

from plugins.commands.definition import VALUE, ManifestLimits
from plugins.contracts import EffectClass, ToolKind
from plugins.services.manifests import COMMAND_FIELDS, HTTP_FIELDS
from plugins.services.tools import MAX_TIMEOUT_SECONDS, tool_defaults
from sandbox.contracts import Isolation

_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}
_HOST_SECRET = {
    "type": "object",
    "description": "Added by the gateway to requests for one host; the program never has it.",
    "required": ["name", "host", "header"],
    "additionalProperties": False,
    "properties": {
        "name": {**_TEXT, "description": "Of a secret of the workspace."},
        "host": {**_TEXT, "description": "A `host:port` of `net`; without a port: 443."},
        "header": {**_TEXT, "description": "Sent in it; the program's own is dropped."},
        "format": {**_TEXT, "default": VALUE, "description": f"With {VALUE} for the secret."},
    },
}
_ABOUT: dict[str, tuple[dict[str, Any], str]] = {
    "description": (_TEXT, "What it does; models choose by it."),
    "input_schema": (_OBJECT, "JSON Schema (2020-12) of its arguments."),
    "effect": (
        {"enum": [each.value for each in EffectClass]},
        "What repeating a call would do; decides what happens after a crash.",
    ),
    "is_privileged": ({"type": "boolean"}, "Denied unless a policy allows it or a person agrees."),
    "is_enabled": ({"type": "boolean"}, "Switched off, nothing calls it."),
    "timeout_seconds": (
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_SECONDS},
        "The time one call has.",
    ),
    "kind": ({"enum": [each.value for each in ToolKind]}, "A request, or a program in a sandbox."),
    "url": ({"type": "string", "format": "uri"}, "Where its requests go."),
    "method": (_TEXT, "Of its requests."),
    "headers": ({"type": "object", "additionalProperties": _TEXT}, "Sent with each request."),
    "probe_url": (_TEXT, "Asked after a crash; `{key}` is the idempotency key."),
    "command": (
        _TEXT,
        "Shell text. Arguments are `$ARG_NAME`, `$AGENTRY_ARGUMENTS` and JSON on standard input.",
    ),
    "engine": (
        {"enum": [each.value for each in Isolation]},
        "Of its sandbox; empty: the site's own. Nothing weaker is used instead.",
    ),
    "net": (
        {"type": "array", "items": {"type": "string", "pattern": "^.+:[0-9]{1,5}$"}},
        "`host:port` pairs it may reach; empty: no network.",
    ),
    "secrets": (
        {"type": "array", "items": {"anyOf": [_TEXT, _HOST_SECRET]}},
        "Names of secrets it finds in /run/secrets, and those added outside for one host.",
    ),
    "output_schema": (
        {"type": ["object", "null"]},
        "JSON Schema of what it prints; without one it prints text.",
    ),
    "probe_command": (
        _TEXT,
        'Run after a crash; prints `{"happened": true | false, "result": …}`.',
    ),
    "plan_command": (_TEXT, "Prints what a call would change, in a workspace it cannot change."),
}
_LIMITS = {
    "cpu": "Cores.",
    "memory_bytes": "Of all its processes together.",
    "pids": "Processes and threads together.",
    "disk_bytes": "Of the workspace; at least the site's quota.",
    "output_bytes": "Of one call, both streams together.",
    "open_files": "Of each process.",
    "file_bytes": "Of each file.",
}


def manifest_schema() -> dict[str, Any]:
    """Return the schema of a Tool's `spec`."""
    defaults = tool_defaults()
    properties = {
        name: {**kind, "description": told, **_default(defaults, name)}
        for name, (kind, told) in _ABOUT.items()
    }
    properties["limits"] = {
        "type": "object",
        "description": "What one sandbox may use; null asks for no limit, if it is privileged.",
        "additionalProperties": False,
        "properties": {
            name: {
                "type": ["number", "null"] if name in _FREE else "integer",
                "exclusiveMinimum": 0,
                "default": getattr(ManifestLimits(), name),
                "description": told,
            }
            for name, told in _LIMITS.items()
        },
    }
    is_command = {"properties": {"kind": {"const": ToolKind.COMMAND.value}}, "required": ["kind"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tool of a workspace",
        "type": "object",
        "required": ["description"],
        "additionalProperties": False,
        "properties": dict(sorted(properties.items())),
        "if": is_command,
        "then": {"required": ["command"], "properties": dict.fromkeys(HTTP_FIELDS, False)},
        "else": {"required": ["url"], "properties": dict.fromkeys(COMMAND_FIELDS, False)},
    }


_FREE = frozenset({"cpu", "memory_bytes", "pids", "disk_bytes"})


def _default(defaults: dict[str, Any], name: str) -> dict[str, Any]:
    return {"default": defaults[name]} if name in defaults else {}
