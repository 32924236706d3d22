"""What every compiled module begins with: the judging of values, as the reference does it.

Only functions that all engines have and that take time linear in the text are used. In one engine
a text keeps the escapes of its JSON form, so before places in a text matter, `text` puts one
private character for each of the five that are escaped; `document` saw to it that no others are.
"""

import msgspec

from governance.policy.document import FOREIGN_RUN, STAND_INS
from governance.policy.matrix.model import (
    MAX_EXACT,
    MAX_HOST_TEXT,
    MAX_PATH_TEXT,
    MAX_PATTERN_TEXT,
    TestKind,
)


def literal(value: object) -> str:
    """Return a value as Rego writes it, in the one form that all engines read alike."""
    return msgspec.json.encode(value).decode()


def stood_in(text: str) -> str:
    """Return a literal for a text as `text` returns it."""
    return literal(text.translate(_STAND_IN))


_BACKSLASH = STAND_INS["\\"]
_STAND_IN = str.maketrans({**STAND_INS})


def _replaced() -> str:
    inner = "value"
    for letter, stand_in in STAND_INS.items():
        inner = f"replace({inner}, {literal(letter)}, {literal(stand_in)})"
    return inner


JUDGE = {
    TestKind.EQUALS: "is_scalar",
    TestKind.GLOB: "is_text",
    TestKind.REGEX: "is_short_text",
    TestKind.MIN: "is_exact",
    TestKind.MAX: "is_exact",
    TestKind.HOST: "is_host",
    TestKind.PATH: "is_path",
}

PRELUDE: dict[str, str] = {
    "text": f"text(value) := {_replaced()}",
    "squeezed": (
        f"squeezed(value) := text(regex.replace(value, `[^\\t\\n\\r -~]+`, {literal(FOREIGN_RUN)}))"
    ),
    "is_scalar": """\
is_scalar(value) if {
	not is_array(value)
	not is_object(value)
}""",
    "is_text": "is_text(value) if is_string(value)",
    "is_short_text": f"""\
is_short_text(value) if {{
	is_string(value)
	count(text(value)) <= {MAX_PATTERN_TEXT}
}}""",
    "is_exact": f"""\
is_exact(value) if {{
	is_number(value)
	value <= {MAX_EXACT}
	value >= -{MAX_EXACT}
}}""",
    "is_host": f"""\
is_host(value) if {{
	count(text(value)) <= {MAX_HOST_TEXT}
	regex.match(`^[a-z0-9_.:\\[\\]-]+$`, text(value))
	not endswith(host_name(value), ".")
}}""",
    "host_name": """\
host_name(value) := concat("", [split(value, "]")[0], "]"]) if startswith(value, "[")

host_name(value) := split(value, ":")[0] if {
	not startswith(value, "[")
	count(split(value, ":")) == 2
}

host_name(value) := value if {
	not startswith(value, "[")
	count(split(value, ":")) != 2
}""",
    "is_path": f"""\
is_path(value) if {{
	value != ""
	count(text(value)) <= {MAX_PATH_TEXT}
	not contains(value, "//")
	not contains(text(value), {literal(_BACKSLASH)})
	parts := split(value, "/")
	not "." in parts
	not ".." in parts
}}""",
    "each": """\
each(value) := value if is_array(value)

each(value) := [inner | some inner in value] if is_object(value)

each(value) := [value] if is_scalar(value)""",
}

NEEDS = {
    "squeezed": ("text",),
    "is_short_text": ("text",),
    "is_host": ("text", "host_name"),
    "is_path": ("text",),
    "each": ("is_scalar",),
}


def prelude(used: set[str]) -> list[str]:
    """Return the named definitions and what they need."""
    wanted = set(used)
    for name in used:
        wanted.update(NEEDS.get(name, ()))
    return [definition for name, definition in PRELUDE.items() if name in wanted]
