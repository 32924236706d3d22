"""Reading a Rego module before it is used, for what evaluation would pass over in silence.

In Rego a name that is nowhere defined, a misspelt field of the input and a call of a function that
is not there are all "undefined", and a rule with something undefined in it does not hold: a denial
with a slip of the pen in it never denies. Servers reject much of that when they compile; the
in-process library does not. So it is rejected here, for every engine, and somewhat more strictly
than the language asks: variables are declared, rules are named without `data`, and nothing is asked
that has another answer tomorrow.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from governance.policy.contracts import Effect, PolicyInput
from governance.policy.placed import Mistakes, Placed
from governance.policy.rego.tokens import Token, statements

MAX_MODULE_BYTES = 1024 * 1024
PACKAGE = ("agentry", "tool")
ENTRY = "decision"

_KEYWORDS = frozenset(
    {
        "package", "import", "default", "if", "else", "not", "some", "every", "in", "contains",
        "with", "as", "true", "false", "null", "input", "data", "_",
    }
)  # fmt: skip

# What depends on anything but the input: an answer must be the same when it is asked again.
_OUTSIDE = (
    "http.", "net.lookup", "opa.", "rand.", "time.now_ns", "uuid.", "rego.", "trace", "io.jwt.",
)  # fmt: skip

# The in-process library writes other directives out as they stand, and says nothing.
_DIRECTIVE = re.compile(r"%(?![sdvf%])[^%]?")


@dataclass(slots=True)
class _Statement:
    """One rule: what it is called and what it uses."""

    head: Token
    declared: set[str] = field(default_factory=set)
    used: dict[str, Token] = field(default_factory=dict)
    calls: dict[str, Token] = field(default_factory=dict)


@dataclass(slots=True)
class Inspected:
    """A module that was read; `calls` are the functions that it does not define itself."""

    calls: dict[str, Token]

    def refuse_unknown(self, unknown: Iterable[str]) -> None:
        """Raise PolicyInvalidError for calls of functions that the engine does not have."""
        mistakes = Mistakes()
        for name in unknown:
            what = f"the function `{name}` is not known or not supported"
            mistakes.add(
                _place(self.calls[name]), what, "Define it, or use one that both engines have."
            )
        mistakes.raise_any("Policy")


def inspect_module(module: str) -> Inspected:
    """Return what a module calls.

    Raises:
        PolicyInvalidError: `fields` and `detail["mistakes"]` name every place.
    """
    mistakes = Mistakes()
    if len(module.encode(errors="replace")) > MAX_MODULE_BYTES:
        what = f"it is larger than {MAX_MODULE_BYTES} bytes"
        mistakes.add(Placed(None, 1, 1), what, "Split the policy.")
        mistakes.raise_any("Policy")
    every = statements(module)
    rules = [
        _read(statement, mistakes)
        for statement in every
        if statement[0].text not in {"package", "import"}
    ]
    _check_head(every, rules, mistakes)
    heads = {rule.head.text for rule in rules}
    calls: dict[str, Token] = {}
    for rule in rules:
        for name, token in rule.calls.items():
            if any(name.startswith(prefix) for prefix in _OUTSIDE):
                what = f"`{name}` depends on more than the call that is judged"
                remedy = "Decide by the input alone, so that the answer can be checked later."
                mistakes.add(_place(token), what, remedy)
            elif name not in heads:
                calls.setdefault(name, token)
        _check_names(rule, heads, mistakes)
    _check_cycles(rules, heads, mistakes)
    mistakes.raise_any("Policy")
    return Inspected(calls=calls)


def require_default_deny(module: str) -> None:
    """Refuse a module that does not say `default decision` with a denial.

    Raises:
        PolicyInvalidError: at the default, or at the beginning when there is none.
    """
    mistakes = Mistakes()
    remedy = 'Write `default decision := {"effect": "deny", "rule": "default"}`.'
    found = None
    for statement in statements(module):
        if [token.text for token in statement[:2]] == ["default", ENTRY]:
            found = statement
    if found is None:
        what = "it does not say what holds where no rule decides"
        mistakes.add(Placed(None, 1, 1), what, remedy)
    elif _effect_of_default(found) != Effect.DENY.value:
        what = "where no rule decides it must deny"
        mistakes.add(_place(found[0]), what, remedy)
    mistakes.raise_any("Policy")


def _effect_of_default(statement: Sequence[Token]) -> str | None:
    """Return the effect of `default decision := {…}`; None: it is not written as plain JSON."""
    if len(statement) < 4 or statement[2].text != ":=":
        return None
    try:
        document = msgspec.json.decode("".join(token.text for token in statement[3:]))
    except msgspec.DecodeError:
        return None
    return document.get("effect") if isinstance(document, dict) else None


def sees_run(module: str) -> bool:
    """Whether answers may depend on the id of the run: it is read, or the input as a whole is."""
    for statement in statements(module):
        for place, token in enumerate(statement):
            before = statement[place - 1].text if place else ""
            if token.kind != "name" or token.text != "input" or before == ".":
                continue
            after = [each.text for each in statement[place + 1 : place + 3]]
            is_field = len(after) == 2 and after[0] == "." and after[1] != "run_id"
            if not is_field:
                return True
    return False


def _check_head(
    every: Sequence[Sequence[Token]], rules: Sequence[_Statement], mistakes: Mistakes
) -> None:
    lines = [" ".join(token.text for token in statement) for statement in every]
    start = Placed(None, 1, 1)
    if not lines or lines[0] != f"package {' . '.join(PACKAGE)}":
        mistakes.add(start, "it is not this policy's package", "Begin with `package agentry.tool`.")
    for statement, line in zip(every, lines, strict=True):
        if statement[0].text == "import" and line != "import rego . v1":
            what = "only `import rego.v1` is supported"
            mistakes.add(_place(statement[0]), what, "Put everything into one module.")
    if "import rego . v1" not in lines:
        what = "without `import rego.v1` engines read it as different languages"
        mistakes.add(start, what, "Add `import rego.v1` below the package.")
    if ENTRY not in {rule.head.text for rule in rules}:
        remedy = 'Begin with `default decision := {"effect": "deny", "rule": "default"}`.'
        mistakes.add(start, "it does not define `decision`", remedy)


def _read(statement: Sequence[Token], mistakes: Mistakes) -> _Statement:
    names = [token for token in statement if token.text != "default"]
    rule = _Statement(head=names[0] if names else statement[0])
    is_function = len(names) > 1 and names[1].text == "("
    place = 0
    while place < len(statement):
        token = statement[place]
        before = statement[place - 1] if place else None
        after = statement[place + 1] if place + 1 < len(statement) else None
        if token.kind == "sign":
            _read_sign(statement, place, rule, mistakes)
        elif token.kind == "name" and token.text in {"some", "every"}:
            _declare_until(statement, place + 1, {"in", ";"}, rule)
        elif token is rule.head:
            if is_function:
                _declare_until(statement, place + 2, {")"}, rule)
        elif token.kind == "name" and not (before and before.text == "."):
            if token.text == "input" and not (before and before.text == "with"):
                _check_fields(statement, place, mistakes)
            place = _read_name(statement, place, rule, after)
        place += 1
    if "sprintf" in rule.calls:
        _check_formats(statement, mistakes)
    return rule


def _check_formats(statement: Sequence[Token], mistakes: Mistakes) -> None:
    for token in statement:
        found = _DIRECTIVE.search(token.text.replace("%%", ""))
        if token.kind in {"text", "raw"} and found:
            what = f"`{found.group()}` is not a format that both engines know"
            mistakes.add(_place(token), what, "Use %s, %d, %v, %f or %%.")


def _read_name(
    statement: Sequence[Token], place: int, rule: _Statement, after: Token | None
) -> int:
    """Note a use or a call of a name; return the place of its last token."""
    token, end = statement[place], place
    path = [token.text]
    while (
        end + 2 < len(statement)
        and statement[end + 1].text == "."
        and statement[end + 2].kind == "name"
    ):
        path.append(statement[end + 2].text)
        end += 2
    is_call = end + 1 < len(statement) and statement[end + 1].text == "("
    if is_call and (len(path) > 1 or path[0] not in _KEYWORDS - {"contains"}):
        rule.calls.setdefault(".".join(path), token)
        return end
    if path[0] not in _KEYWORDS or path[0] == "data":
        rule.used.setdefault(path[0], token)
    return place


def _read_sign(
    statement: Sequence[Token], place: int, rule: _Statement, mistakes: Mistakes
) -> None:
    token = statement[place]
    if token.text == "=":
        what = "a single `=` means two different things"
        mistakes.add(_place(token), what, "Write `:=` to name a value, `==` to compare.")
    if token.text != ":=" or place == 0:
        return
    before = statement[place - 1]
    if before.kind == "name":
        rule.declared.add(before.text)
    depth, at = 0, place - 1
    while before.text in {"]", "}"} and at >= 0:
        text = statement[at].text
        depth += (text in {"]", "}"}) - (text in {"[", "{"})
        if statement[at].kind == "name":
            rule.declared.add(text)
        if depth == 0:
            break
        at -= 1


def _declare_until(
    statement: Sequence[Token], place: int, ends: set[str], rule: _Statement
) -> None:
    line = statement[place].line if place < len(statement) else 0
    for token in statement[place:]:
        if token.text in ends or ("in" in ends and token.line != line):
            return
        if token.kind == "name":
            rule.declared.add(token.text)


def _check_names(rule: _Statement, heads: set[str], mistakes: Mistakes) -> None:
    known = rule.declared | heads
    for name, token in rule.used.items():
        if name == "data":
            what = "`data` is not available"
            mistakes.add(_place(token), what, "Name a rule of this module by its name alone.")
        elif name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean `{close[0]}`?" if close else f"Declare it: `some {name} in …`."
            mistakes.add(_place(token), f"`{name}` is not defined", remedy)


def _check_fields(statement: Sequence[Token], place: int, mistakes: Mistakes) -> None:
    """Follow `input.a.b` or `input["a"]` as far as the input's fields are known."""
    here: Any = PolicyInput
    at = place + 1
    while isinstance(here, type) and issubclass(here, msgspec.Struct):
        fields = {each.name: each.type for each in msgspec.structs.fields(here)}
        if at + 1 < len(statement) and statement[at].text == ".":
            token, name, step = statement[at + 1], statement[at + 1].text, 2
        elif (
            at + 2 < len(statement)
            and statement[at].text == "["
            and statement[at + 1].kind == "text"
        ):
            token, name, step = statement[at + 1], statement[at + 1].text.strip('"'), 3
        else:
            return
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"There are: {', '.join(fields)}."
            mistakes.add(_place(token), f"the input has no field `{name[:60]}` here", hint)
            return
        here = fields[name]
        at += step


def _check_cycles(rules: Sequence[_Statement], heads: set[str], mistakes: Mistakes) -> None:
    uses: dict[str, set[str]] = {}
    for rule in rules:
        names = (set(rule.used) | set(rule.calls)) & heads - rule.declared
        uses.setdefault(rule.head.text, set()).update(names)
    for rule in rules:
        reached: set[str] = set()
        pending = list(uses[rule.head.text])
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending.extend(uses[name])
        if rule.head.text in reached:
            what = f"`{rule.head.text}` is defined by itself"
            mistakes.add(_place(rule.head), what, "Rego has no recursion; unfold it.")
            return


def _place(token: Token) -> Placed:
    return Placed(None, token.line, token.column)
