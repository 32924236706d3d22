"""The JSON Schema of permission matrices, for editors: completion and the coarse mistakes.

What the reader refuses beyond it (two rules of one name, patterns without a bound) it cannot say.
"""

from typing import Any

from governance.policy.contracts import Effect, OnExpiry
from governance.policy.document import MAX_QUORUM
from governance.policy.matrix.answers import ASK_KEYS
from governance.policy.matrix.conditions import CONDITION_KEYS, TEST_KEYS
from governance.policy.matrix.globs import MAX_GLOB
from governance.policy.matrix.model import CLASSES
from governance.policy.matrix.parse import (
    CALL_KEYS,
    DEFAULT_KEYS,
    MAX_RULES,
    RULE_KEYS,
    TOP_KEYS,
    WHO_KEYS,
)
from governance.policy.matrix.patterns import MAX_PATTERN

_EFFECT = {"enum": [effect.value for effect in Effect]}
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_GLOB = {"type": "string", "minLength": 1, "maxLength": MAX_GLOB}
_GLOBS = {"$ref": "#/$defs/globs"}
_PRINCIPALS = {"$ref": "#/$defs/principals"}


def _one_or_more(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


def _object(keys: tuple[str, ...], properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Describe a mapping; the keys and their descriptions must be the same."""
    assert set(keys) == set(properties), set(keys) ^ set(properties)
    ordered = {key: properties[key] for key in keys}
    return {"type": "object", "additionalProperties": False, "properties": ordered, **more}


_PLACES = {
    "anyOf": [
        _GLOBS,
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["outside"],
            "properties": {"outside": _GLOBS},
        },
    ]
}
_TESTS: dict[str, Any] = {
    "equals": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]},
    "glob": _GLOBS,
    "regex": {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN},
    "min": {"type": "number"},
    "max": {"type": "number"},
}
_CALL: dict[str, Any] = {
    "who": _object(WHO_KEYS, dict.fromkeys(WHO_KEYS, _GLOBS), minProperties=1),
    "tools": _GLOBS,
    "classes": _one_or_more({"enum": list(CLASSES)}),
    "privileged": {"type": "boolean"},
    "surfaces": _GLOBS,
    "workspaces": _GLOBS,
    "arguments": {"type": "object", "additionalProperties": {"$ref": "#/$defs/condition"}},
    "hosts": _PLACES,
    "paths": _PLACES,
}
_ASK: dict[str, Any] = {
    "approvers": _PRINCIPALS,
    "quorum": {"type": "integer", "minimum": 1, "maximum": MAX_QUORUM},
    "expires": {"type": "string", "pattern": "^[0-9]{1,9}(s|m|h|d)$"},
    "on_expiry": {"enum": [outcome.value for outcome in OnExpiry]},
    "escalate_to": _PRINCIPALS,
    "allow_self": {"type": "boolean"},
    "allow_owner": {"type": "boolean"},
    "grantable": {"type": "boolean"},
}


def matrix_schema() -> dict[str, Any]:
    """Return the schema, in draft 2020-12."""
    rule = {
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        **_CALL,
        "effect": _EFFECT,
        "reason": {"type": "string", "minLength": 1, "maxLength": 1000},
        **_ASK,
    }
    top = {
        "version": {"const": 1},
        "default": {
            "anyOf": [_EFFECT, _object(DEFAULT_KEYS, dict.fromkeys(DEFAULT_KEYS, _EFFECT))]
        },
        "rules": {"type": "array", "maxItems": MAX_RULES, "items": {"$ref": "#/$defs/rule"}},
    }
    condition = {
        **_TESTS,
        "not": _object(TEST_KEYS, _TESTS, minProperties=1, maxProperties=1),
        "present": {"type": "boolean"},
    }
    asks = {"properties": {"effect": {"const": Effect.ASK.value}}}
    says_whom = {"anyOf": [{"required": [key]} for key in ASK_KEYS]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Permission matrix of Agentry Cloud",
        **_object(TOP_KEYS, top, anyOf=[{"required": ["rules"]}, {"required": ["default"]}]),
        "$defs": {
            "globs": _one_or_more(_GLOB),
            "principals": _one_or_more(
                {"type": "string", "pattern": r"^(user|group|role):[^\s:][^:]{0,199}$"}
            ),
            "condition": _object(CONDITION_KEYS, condition, minProperties=1),
            "rule": _object(
                RULE_KEYS,
                rule,
                required=["effect"],
                anyOf=[{"required": [key]} for key in CALL_KEYS],
                **{"if": says_whom, "then": asks},
            ),
        },
    }
