"""Regular expressions that mean the same in every engine and cannot be made to run for ever.

The engines differ: one is linear and reads code points (RE2), one backtracks and reads bytes (that
of C++). So an expression is read here, what would be ambiguous is refused, and it is written out
again with the few constructs they share. It must cover the whole value.

What it is matched against is `squeezed`: each run of characters outside ASCII is one stand-in,
which only `.` and negated classes match.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic_core import SchemaValidator, core_schema

from governance.policy.document import FOREIGN_RUN, STAND_INS

MAX_PATTERN = 500
MAX_COUNT = 64
MAX_STATES = 2000
MAX_OPEN = 4
MAX_OPTIONAL = 8

_FOREIGN = re.compile(r"[^\t\n\r -~]+")
_SYMBOLS = frozenset({chr(code) for code in range(0x20, 0x7F)} | {"\t", "\n", "\r", FOREIGN_RUN})
_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORD = _DIGITS | _LETTERS | {"_"}
_SPACE = frozenset(" \t\n\r")
_CLASSES = {
    "d": _DIGITS, "D": _SYMBOLS - _DIGITS,
    "w": _WORD, "W": _SYMBOLS - _WORD,
    "s": _SPACE, "S": _SYMBOLS - _SPACE,
    "t": frozenset("\t"), "n": frozenset("\n"), "r": frozenset("\r"),
}  # fmt: skip
_STAND_IN = str.maketrans(STAND_INS)
_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_BEHIND_SLASH = frozenset("\\]^-[")


class PatternError(ValueError):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """`source` as it was written, `written` as engines get it."""

    source: str
    written: str

    def covers(self, text: str) -> bool:
        return _matcher(self.written).isinstance_python(squeezed(text))


@lru_cache(maxsize=1024)
def _matcher(written: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=written, regex_engine="rust-regex"))


def squeezed(text: str) -> str:
    """Return the text as patterns see it."""
    return _FOREIGN.sub(FOREIGN_RUN, text).translate(_STAND_IN)


def parse_pattern(source: str) -> Pattern:
    """Return the pattern.

    Raises:
        PatternError: it is no expression, or one that not every engine could keep in bounds.
    """
    if len(source) > MAX_PATTERN:
        raise PatternError(f"it is longer than {MAX_PATTERN} characters", "Shorten it.")
    inner = source.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    reader = _Reader(inner)
    node = reader.whole()
    if node.states > MAX_STATES:
        raise PatternError("its counted repeats are too large", "Use smaller counts.")
    return Pattern(source=source, written=f"^(?:{node.written})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A piece, written out, with what decides whether it may be repeated: the symbols it can begin
    with, whether it can be empty, and whether it is read in one way only."""

    written: str
    first: frozenset[str]
    states: int = 1
    is_nullable: bool = False
    is_plain: bool = True


@dataclass(slots=True)
class _Reader:
    text: str
    place: int = field(default=0, init=False)
    open_repeats: int = field(default=0, init=False)
    optional: int = field(default=0, init=False)

    def whole(self) -> _Node:
        node = self._choice(0)
        if self.place < len(self.text):
            raise PatternError("a `)` has no `(`", "Write `\\)` for the character.")
        # Each of them is a choice to go back to, and what can be gone back to multiplies.
        if self.open_repeats > MAX_OPEN or self.optional > MAX_OPTIONAL:
            what = f"it has more than {MAX_OPEN} open repeats or {MAX_OPTIONAL} `?`"
            raise PatternError(what, "Use fixed counts such as `{4}`, or several rules.")
        return node

    def _peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self) -> str:
        if self.place >= len(self.text):
            raise PatternError("it ends in the middle of something", "Complete it.")
        self.place += 1
        return self.text[self.place - 1]

    def _choice(self, depth: int) -> _Node:
        if depth > 10:
            raise PatternError("its groups are nested too deeply", "Write a simpler one.")
        branches = [self._sequence(depth)]
        while self._peek() == "|":
            self._take()
            branches.append(self._sequence(depth))
        if len(branches) == 1:
            return branches[0]
        first: frozenset[str] = frozenset()
        is_plain = all(branch.is_plain and not branch.is_nullable for branch in branches)
        for branch in branches:
            is_plain = is_plain and not first & branch.first
            first |= branch.first
        return _Node(
            written=f"(?:{'|'.join(branch.written for branch in branches)})",
            first=first,
            states=sum(branch.states for branch in branches),
            is_nullable=any(branch.is_nullable for branch in branches),
            is_plain=is_plain,
        )

    def _sequence(self, depth: int) -> _Node:
        pieces: list[_Node] = []
        while self._peek() not in {"", "|", ")"}:
            pieces.append(self._repeated(self._atom(depth)))
        first: frozenset[str] = frozenset()
        for piece in pieces:
            first |= piece.first
            if not piece.is_nullable:
                break
        return _Node(
            written="".join(piece.written for piece in pieces),
            first=first,
            states=sum(piece.states for piece in pieces),
            is_nullable=all(piece.is_nullable for piece in pieces),
            is_plain=all(piece.is_plain for piece in pieces),
        )

    def _atom(self, depth: int) -> _Node:
        letter = self._take()
        if letter == "(":
            return self._group(depth)
        if letter == "[":
            return _symbols(self._class())
        if letter == ".":
            return _symbols(_SYMBOLS - {"\n"})
        if letter == "\\":
            return _symbols(self._escape())
        if letter in "^$":
            what = f"`{letter}` may stand at the ends only, where it is not needed"
            raise PatternError(what, "A pattern covers the whole value; write `.*` for the rest.")
        if letter in "*+?{":
            raise PatternError(f"`{letter}` has nothing to repeat", f"Write `\\{letter}` for it.")
        return _symbols(_literal(letter))

    def _group(self, depth: int) -> _Node:
        if self._peek() == "?":
            if self.text[self.place : self.place + 2] != "?:":
                what = "look-around, names and flags in groups are not supported"
                raise PatternError(what, "Write `(?:…)` or `(…)`.")
            self.place += 2
        node = self._choice(depth + 1)
        if self._peek() != ")":
            raise PatternError("a `(` is not closed", "Add `)`, or write `\\(`.")
        self._take()
        return _Node(
            written=f"(?:{node.written})",
            first=node.first,
            states=node.states,
            is_nullable=node.is_nullable,
            is_plain=node.is_plain,
        )

    def _repeated(self, node: _Node) -> _Node:
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return node
        if self._peek() in {"?", "+", "*", "{"}:
            raise PatternError("two repeats follow each other", "Keep one of them.")
        if most != 1 and (not node.is_plain or node.is_nullable):
            what = "a repeated group can be read in several ways, which can take for ever"
            remedy = "Inside it use no `*`, `+`, `?`, and choices with different first letters."
            raise PatternError(what, remedy)
        if (least, most) == (0, 1):
            self.optional += 1
        elif least != most:
            self.open_repeats += 1
        sign = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
        if sign is None:
            sign = (
                f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
            )
        return _Node(
            written=node.written + sign,
            first=node.first,
            states=node.states * max(least + 1, most or 1),
            is_nullable=least == 0 or node.is_nullable,
            is_plain=node.is_plain and least == most,
        )

    def _quantifier(self) -> tuple[int, int | None]:
        letter = self._peek()
        if letter in {"*", "+", "?"}:
            self._take()
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[letter]
        if letter != "{":
            return 1, 1
        found = re.compile(r"\{([0-9]{1,4})(,([0-9]{0,4}))?\}").match(self.text, self.place)
        if found is None:
            raise PatternError("`{` begins a count", "Write `{2}`, `{2,}`, `{2,5}` or `\\{`.")
        self.place = found.end()
        least = int(found[1])
        most = least if found[2] is None else (int(found[3]) if found[3] else None)
        if max(least, most or 0) > MAX_COUNT or (most is not None and not least <= most > 0):
            what = f"a count must be rising and at most {MAX_COUNT}"
            raise PatternError(what, "Choose other counts.")
        return least, most

    def _escape(self) -> frozenset[str]:
        letter = self._take()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter.isascii() and not letter.isalnum():
            return _literal(letter)
        what = f"`\\{letter}` does not mean the same everywhere"
        raise PatternError(what, "Known: \\d \\w \\s \\D \\W \\S \\t \\n \\r and \\ before a sign.")

    def _class(self) -> frozenset[str]:
        is_negated = self._peek() == "^"
        if is_negated:
            self._take()
        members: set[str] = set()
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            if self.text[self.place : self.place + 2] == "[:":
                raise PatternError("named classes are not supported", "Write the letters.")
            low = self._member()
            is_range = self._peek() == "-" and self.text[self.place + 1 : self.place + 2] != "]"
            if not is_range:
                members |= low
                continue
            self._take()
            high = self._member()
            if len(low) != 1 or len(high) != 1 or not min(low) <= min(high):
                raise PatternError("a range in a class falls or has no ends", "Write `[a-z]`.")
            members |= {symbol for symbol in _SYMBOLS if min(low) <= symbol <= min(high)}
        self._take()
        found = _SYMBOLS - members if is_negated else frozenset(members)
        if not found:
            raise PatternError("a class is empty", "Write at least one character in it.")
        return found

    def _member(self) -> frozenset[str]:
        letter = self._take()
        return self._escape() if letter == "\\" else _literal(letter)


def _literal(letter: str) -> frozenset[str]:
    if letter not in _SYMBOLS:
        what = f"`{letter}` is outside ASCII, where engines disagree"
        raise PatternError(what, "Use `glob` or `equals` for such texts, or `.` in this place.")
    return frozenset(letter)


def _symbols(found: frozenset[str]) -> _Node:
    """Write a set of symbols: ASCII as a class, the stand-ins as choices, which bytes allow."""
    others = sorted(
        STAND_INS.get(symbol, symbol)
        for symbol in found
        if symbol in STAND_INS or symbol == FOREIGN_RUN
    )
    plain = sorted(symbol for symbol in found if symbol not in STAND_INS and symbol != FOREIGN_RUN)
    choices = ([_class_of(plain)] if plain else []) + others
    written = choices[0] if len(choices) == 1 and not others else f"(?:{'|'.join(choices)})"
    return _Node(written=written, first=found)


def _class_of(letters: list[str]) -> str:
    if len(letters) == 1:
        return f"\\{letters[0]}" if letters[0] in _SPECIAL else letters[0]
    runs: list[tuple[str, str]] = []
    for letter in letters:
        if runs and ord(letter) == ord(runs[-1][1]) + 1:
            runs[-1] = (runs[-1][0], letter)
        else:
            runs.append((letter, letter))
    written = ""
    for low, high in runs:
        low_text, high_text = (
            f"\\{letter}" if letter in _BEHIND_SLASH else letter for letter in (low, high)
        )
        if low == high:
            written += low_text
        else:
            written += low_text + ("-" if ord(high) > ord(low) + 1 else "") + high_text
    return f"[{written}]"
