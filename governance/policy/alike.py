"""Which calls are alike: a pattern over arguments, in the words of the permission matrix.

A pattern covers a call when every test in it holds and every single value of the arguments is
spoken of by one. What it does not speak of it does not cover: a new argument asks a person again.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from core.errors import InvalidInputError
from governance.policy.contracts import Effect, PolicyInput
from governance.policy.matrix.conditions import MAX_SCALAR, UNUSABLE, is_path
from governance.policy.matrix.model import MAX_EXACT, Condition, Each, Matrix, TestKind
from governance.policy.matrix.parse import matrix_in
from governance.policy.matrix.reference import MatrixEngine
from governance.policy.placed import MAX_DEPTH, Mistakes, Placed

KEYS = ("arguments", "paths", "hosts")

_Step: TypeAlias = str | int
_Path: TypeAlias = tuple[_Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """A pattern that has been read."""

    matrix: Matrix

    def covers(self, question: PolicyInput) -> bool:
        """Say whether the call is one of those the pattern is about."""
        answer = MatrixEngine(self.matrix, digest="").decide(question)
        return answer.effect is Effect.ALLOW and not self.uncovered(question)

    def uncovered(self, question: PolicyInput) -> list[str]:
        """Return the places of the values that no test speaks of."""
        (rule,) = self.matrix.rules
        has_paths = rule.paths is not None
        found = []
        for path, value in _leaves(question.arguments):
            by_path = has_paths and _is_one_of(value, question.paths)
            if not by_path and not any(_speaks_of(each, path, value) for each in rule.arguments):
                found.append(written(path))
        return found


def read_alike(pattern: Mapping[str, Any]) -> Alike:
    """Read `{arguments: {path: {test: value}}, paths: […], hosts: […]}`.

    Raises:
        InvalidInputError: It is no pattern; `fields` has every mistake with its remedy.
    """
    unknown = sorted(set(pattern) - set(KEYS))
    if unknown:
        raise _unreadable([f"There is no `{unknown[0][:60]}` in a pattern; {', '.join(KEYS)}."])
    if _depth(dict(pattern)) > MAX_DEPTH:
        raise _unreadable([f"It is deeper than {MAX_DEPTH} levels. Nest less."])
    held = {key: value for key, value in pattern.items() if value not in ({}, [], None)}
    rule = {"name": "alike", "tools": ["*"], "effect": Effect.ALLOW.value, **held}
    mistakes = Mistakes()
    matrix = matrix_in(_placed({"rules": [rule], "default": Effect.DENY.value}), mistakes)
    if mistakes.found:
        sentences = [f"{each.what}. {each.remedy}" for each in mistakes.found]
        raise _unreadable(list(dict.fromkeys(sentences)))
    return Alike(matrix=matrix)


def proposed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the narrowest pattern that covers exactly these arguments, to be widened by a person.

    What cannot be named or compared is left out; a pattern that lacks it is refused, by its name.
    """
    tests = {
        written(path): {"equals": value}
        for path, value in _leaves(arguments)
        if is_path(written(path)) and _is_comparable(value)
    }
    return {"arguments": tests}


def written(path: _Path) -> str:
    """Write a path as the matrix does: `name.inner`, `list[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _leaves(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Yield every scalar, and every empty list and mapping but the outermost."""
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, place))
    else:
        yield path, value


def _speaks_of(condition: Condition, path: _Path, value: Any) -> bool:
    """A test of a value speaks of what is in it; a glob never of a way up (`..`)."""
    steps = condition.path
    if len(steps) > len(path) or not all(
        step is Each.EACH or step == at for step, at in zip(steps, path, strict=False)
    ):
        return False
    if condition.is_present:
        return True
    is_looser = {test.kind for test in condition.tests if not test.is_negated} == {TestKind.GLOB}
    return not (is_looser and isinstance(value, str) and ".." in _parts(value))


def _parts(text: str) -> list[str]:
    return text.replace("\\", "/").split("/")


def _is_one_of(value: Any, paths: tuple[str, ...]) -> bool:
    return isinstance(value, str) and bool(value) and posixpath.normpath(value) in paths


def _is_comparable(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_SCALAR and not UNUSABLE.search(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) <= MAX_EXACT
    return not isinstance(value, list | dict)


def _placed(value: Any) -> Placed:
    if isinstance(value, dict):
        return Placed({key: _placed(inner) for key, inner in value.items()}, 1, 1)
    if isinstance(value, list | tuple):
        return Placed([_placed(inner) for inner in value], 1, 1)
    return Placed(value, 1, 1)


def _depth(value: Any, depth: int = 0) -> int:
    if depth > MAX_DEPTH:
        return depth
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((_depth(each, depth + 1) for each in inner), default=depth)


def _unreadable(sentences: list[str]) -> InvalidInputError:
    return InvalidInputError(
        f"The pattern cannot be used: {sentences[0]}", fields={"pattern": sentences}
    )
