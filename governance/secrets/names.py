"""What a secret may be called, and how configuration refers to one: `${secret:NAME}`."""

import re
from collections.abc import Mapping

NAME_REGEX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
NAME_FORM = "Use 1 to 63 letters, digits, `_` and `-`, beginning with a letter."

_REFERENCE = re.compile(r"\$\{secret:([^{}]*)\}")


def references(text: str) -> tuple[str, ...]:
    """Return the names a text refers to, in order, each once."""
    return tuple(dict.fromkeys(_REFERENCE.findall(text)))


def wrong_reference(text: str) -> str:
    """Return a sentence about the first reference in the text that cannot be one, or nothing."""
    for name in references(text):
        if not NAME_REGEX.fullmatch(name):
            return f"${{secret:{name[:80]}}} names no secret. {NAME_FORM}"
    if "${secret:" in _REFERENCE.sub("", text):
        return "A reference to a secret is written ${secret:NAME}; this one does not end."
    return ""


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return the text with values in place of references. Values are not looked into again."""
    return _REFERENCE.sub(lambda found: values[found[1]], text)


def unreferenced(text: str) -> str:
    """Return the text without its references."""
    return _REFERENCE.sub("", text)


def whole_reference(text: str) -> str:
    """Return the name when the text is one reference and nothing else, or nothing."""
    found = _REFERENCE.fullmatch(text)
    return found[1] if found else ""
