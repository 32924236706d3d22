"""The meaning of a permission matrix, in plain Python: what compiled modules must agree with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from governance.policy.contracts import PolicyDecision, PolicyInput, abnormal
from governance.policy.document import InputTooLargeError, document
from governance.policy.matrix.globs import host_name, matches, matches_host, matches_path
from governance.policy.matrix.model import (
    CLASSES,
    MAX_EXACT,
    MAX_HOST_TEXT,
    MAX_PATH_TEXT,
    MAX_PATTERN_TEXT,
    Condition,
    Each,
    Matrix,
    Rule,
    Step,
    Test,
    TestKind,
)

_HOST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.:[]-")


class MatrixEngine:
    """Judges by the matrix itself. Keeps nothing between calls; never waits."""

    def __init__(self, matrix: Matrix, *, digest: str) -> None:
        self._rules = matrix.by_force()
        self._default = matrix.default
        self._digest = digest

    @property
    def digest(self) -> str:
        return self._digest

    def decide(self, question: PolicyInput) -> PolicyDecision:
        try:
            seen: Mapping[str, Any] = msgspec.json.decode(document(question))
        except InputTooLargeError:
            return abnormal("the call is too large to be judged", version=self._digest)
        except (TypeError, ValueError, RecursionError):
            return abnormal("the arguments are no JSON", version=self._digest)
        found = next((rule.decision for rule in self._rules if _holds(rule, seen)), None)
        if found is None:
            found = self._default[_kind(seen["tool"])]
        return msgspec.structs.replace(found, version=self._digest)


def _kind(tool: Mapping[str, Any]) -> str:
    if tool["privileged"]:
        return "privileged"
    return str(tool["effect"]) if tool["effect"] in CLASSES else CLASSES[-1]


def _holds(rule: Rule, seen: Mapping[str, Any]) -> bool:
    subject, tool = seen["subject"], seen["tool"]
    if rule.tools and not _any(rule.tools, tool["name"]):
        return False
    if rule.classes and tool["effect"] not in rule.classes:
        return False
    if rule.is_privileged is not None and tool["privileged"] is not rule.is_privileged:
        return False
    if rule.sandboxes and not _any(rule.sandboxes, tool["sandbox"]):
        return False
    if rule.agents and not _any(rule.agents, seen["agent"]["name"]):
        return False
    if rule.surfaces and not _any(rule.surfaces, subject["surface"]):
        return False
    if rule.workspaces and not _any(rule.workspaces, seen["workspace"]):
        return False
    if (rule.users or rule.groups or rule.roles) and not (
        _any(rule.users, subject["user"])
        or any(_any(rule.groups, group) for group in subject["groups"])
        or any(_any(rule.roles, role) for role in subject["roles"])
    ):
        return False
    return (
        all(_fits(rule, condition, seen["arguments"]) for condition in rule.arguments)
        and (rule.net is None or _all_fit(rule, (rule.net,), tool["net"]))
        and (rule.hosts is None or _all_fit(rule, (rule.hosts,), seen["hosts"]))
        and (rule.paths is None or _all_fit(rule, (rule.paths,), seen["paths"]))
    )


def _any(globs: Sequence[str], text: str) -> bool:
    return any(matches(glob, text) for glob in globs)


def _fits(rule: Rule, condition: Condition, arguments: Mapping[str, Any]) -> bool:
    values = list(_values(arguments, condition.path))
    if condition.is_present is not None and bool(values) is not condition.is_present:
        return False
    return not condition.tests or _all_fit(rule, condition.tests, values)


def _values(value: Any, path: tuple[Step, ...]) -> Iterator[Any]:
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    if isinstance(step, Each):
        items = value if isinstance(value, list) else [value]
        for item in value.values() if isinstance(value, dict) else items:
            yield from _values(item, rest)
    elif isinstance(step, str):
        if isinstance(value, dict) and step in value:
            yield from _values(value[step], rest)
    elif isinstance(value, list) and step < len(value):
        yield from _values(value[step], rest)


def _all_fit(rule: Rule, tests: Sequence[Test], values: Sequence[Any]) -> bool:
    """To open, every value must fit and there must be one; to restrict, one is enough."""
    fits = (all(_fit(test, value, opens=rule.opens) for test in tests) for value in values)
    return (bool(values) and all(fits)) if rule.opens else any(fits)


def _fit(test: Test, value: Any, *, opens: bool) -> bool:
    if not _JUDGEABLE[test.kind](value):
        return not opens
    return _is_true(test, value) is not test.is_negated


def _is_true(test: Test, value: Any) -> bool:
    match test.kind:
        case TestKind.EQUALS:
            return any(_same(value, scalar) for scalar in test.scalars)
        case TestKind.GLOB:
            return _any(test.globs, value)
        case TestKind.REGEX:
            return test.pattern is not None and test.pattern.covers(value)
        case TestKind.MIN:
            return bool(value >= test.bound)
        case TestKind.MAX:
            return bool(value <= test.bound)
        case TestKind.HOST:
            return any(matches_host(glob, value) for glob in test.globs)
        case TestKind.PATH:
            return any(matches_path(glob, value) for glob in test.globs)


def _same(one: Any, other: Any) -> bool:
    # To Python true is 1; to JSON it is not.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -MAX_EXACT <= value <= MAX_EXACT


def _is_pattern_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_PATTERN_TEXT


def _is_host(value: Any) -> bool:
    """Without a canonical form two names for one host would be two hosts."""
    return (
        0 < len(value) <= MAX_HOST_TEXT
        and set(value) <= _HOST_LETTERS
        and not host_name(value).endswith(".")
    )


def _is_path(value: Any) -> bool:
    return (
        0 < len(value) <= MAX_PATH_TEXT
        and "//" not in value
        and "\\" not in value
        and not {".", ".."} & set(value.split("/"))
    )


_JUDGEABLE = {
    TestKind.EQUALS: lambda value: not isinstance(value, list | dict),
    TestKind.GLOB: lambda value: isinstance(value, str),
    TestKind.REGEX: _is_pattern_text,
    TestKind.MIN: _is_number,
    TestKind.MAX: _is_number,
    TestKind.HOST: _is_host,
    TestKind.PATH: _is_path,
}
