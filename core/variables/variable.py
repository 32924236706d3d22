"""What is known of one environment variable."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["str", "int", "float", "bool", "list", "path", "url", "secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    name: str
    kind: Kind
    default: str
    help: str
    section: str


def section(title: str, *rows: tuple[str, Kind, str, str]) -> tuple[Variable, ...]:
    """Return the variables of a section, each from its name, kind, default and help."""
    return tuple(
        Variable(name=name, kind=kind, default=default, help=help_, section=title)
        for name, kind, default, help_ in rows
    )
