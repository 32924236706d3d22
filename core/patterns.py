"""Patterns a site adds to what is kept out of everything that is written.

A pattern runs over every text there is, much of it written by strangers, so only those are taken
that end soon whatever they meet: each begins with a few literal characters, has a longest match,
and at most some hundred ways to match at one place. The time for a text is then a constant times
its length (https://www.rfc-editor.org/rfc/rfc9485 takes the same way: less syntax, no surprises).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from re import _constants as words
from re import _parser as parser
from typing import Any

MAX_PATTERNS = 32
MAX_LENGTH = 1_024
MAX_WAYS = 256
MIN_LITERAL = 3

_REPEATS = (words.MAX_REPEAT, words.MIN_REPEAT)
_SINGLE = frozenset({words.LITERAL, words.NOT_LITERAL, words.ANY, words.IN, words.CATEGORY})


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern: `literal` is what every match begins with, `longest` its greatest length."""

    literal: str
    compiled: re.Pattern[str]
    longest: int


def patterns_parse(text: str) -> tuple[Pattern, ...]:
    """Read patterns, one a line; empty lines are none.

    Raises:
        ValueError: One of them cannot be used; the sentence names its line and not its text, which
            may be close to a secret.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    if len(lines) > MAX_PATTERNS:
        raise ValueError(f"there are {len(lines)} patterns; at most {MAX_PATTERNS} are used.")
    return tuple(_pattern(number, line) for number, line in lines)


def _pattern(number: int, line: str) -> Pattern:
    try:
        tree: Any = parser.parse(line)
        compiled = re.compile(line)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"line {number} is no regular expression: {error}.") from None
    if compiled.flags & ~re.UNICODE:
        raise ValueError(f"line {number} sets flags; write the characters out instead.")
    ways = _ways(number, tree)
    if ways > MAX_WAYS:
        raise ValueError(
            f"line {number} can match in {ways} ways at one place; at most {MAX_WAYS} keep it fast."
        )
    longest = int(tree.getwidth()[1])
    if longest > MAX_LENGTH:
        raise ValueError(f"line {number} matches more than {MAX_LENGTH} characters.")
    literal = _literal(tree)
    if len(literal) < MIN_LITERAL:
        raise ValueError(
            f"line {number} does not begin with {MIN_LITERAL} characters that stand for themselves."
        )
    return Pattern(literal, compiled, longest)


def _literal(tree: Iterable[Any]) -> str:
    found = ""
    for operation, argument in tree:
        if operation is not words.LITERAL:
            break
        found += chr(argument)
    return found


def _ways(number: int, tree: Iterable[Any]) -> int:
    """Return how many ways there are to match at one place, at most."""
    ways = 1
    for operation, argument in tree:
        if operation in _SINGLE or operation is words.AT:
            continue
        if operation in _REPEATS:
            least, most, inner = argument
            if most is words.MAXREPEAT or int(most) > MAX_LENGTH:
                raise ValueError(f"line {number} has a repetition without an end; use {{m,n}}.")
            inside = list(inner)
            if len(inside) != 1 or inside[0][0] not in _SINGLE:
                raise ValueError(
                    f"line {number} repeats more than one character; write the parts out."
                )
            ways *= int(most) - int(least) + 1
        elif operation is words.BRANCH:
            ways *= sum(_ways(number, branch) for branch in argument[1])
        elif operation is words.SUBPATTERN:
            ways *= _ways(number, argument[3])
        else:
            raise ValueError(
                f"line {number} looks around or back; only characters, sets, groups, | and {{m,n}} "
                "are understood."
            )
        if ways > MAX_WAYS:
            return ways
    return ways
