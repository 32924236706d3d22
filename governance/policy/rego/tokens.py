"""The words of a Rego module with their places: as much of its grammar as checking it needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+)
  | (?P<comment>\#[^\n]*)
  | (?P<newline>\n)
  | (?P<raw>`[^`]*`)
  | (?P<text>"(?:[^"\\\n]|\\.)*")
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9][0-9.eE+-]*)
  | (?P<sign>:=|==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: str  # name, text, raw, number, sign, newline
    text: str
    line: int
    column: int


def tokens(module: str) -> Iterator[Token]:
    """Return the tokens of a module, without blanks and comments."""
    line, began = 1, 0
    for found in _TOKEN.finditer(module):
        kind = found.lastgroup or "sign"
        if kind not in {"blank", "comment"}:
            column = found.start() - began + 1
            yield Token(kind=kind, text=found.group(), line=line, column=column)
        if breaks := found.group().count("\n"):
            line += breaks
            began = found.start() + found.group().rindex("\n") + 1


def statements(module: str) -> list[list[Token]]:
    """Return the tokens of each statement: a package, an import, or a rule with its `else`."""
    found: list[list[Token]] = []
    here: list[Token] = []
    depth = 0
    for token in tokens(module):
        if token.kind == "newline":
            if depth == 0 and here:
                found.append(here)
                here = []
            continue
        if token.kind == "sign" and token.text in _OPENING:
            depth += 1
        elif token.kind == "sign" and token.text in _OPENING.values():
            depth = max(0, depth - 1)
        if not here and found and token.text in {"else", "{"}:
            here = found.pop()
        here.append(token)
    return [*found, here] if here else found
