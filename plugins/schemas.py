"""Checking arguments against a JSON Schema nobody vouches for: in bounded time, asking nobody.

A schema comes from whoever declares a tool, the arguments from a model; both may be hostile, and
they meet on the event loop of a worker that drives the runs of everybody. So every keyword that is
evaluated counts against a budget (references that fan out cost without bound), patterns go through
an engine that is linear in the text (backtracking ones are not), and a reference that leads outside
the schema is never fetched.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema
import msgspec
import referencing
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_KEYWORDS = 30_000
MAX_NESTING = 150  # keywords inside keywords; far below the interpreter's own limit
MAX_COMPLAINTS = 5
_PATTERNED = "patternProperties"  # the library evaluates it with a backtracking engine

Keyword = Callable[[Any, Any, Any, Any], Any]


class _Budget:
    """What is left for the check under way. Of this task, so that checks do not mix."""

    __slots__ = ("keywords", "nesting")

    def __init__(self) -> None:
        self.keywords = MAX_KEYWORDS
        self.nesting = MAX_NESTING


_budget: ContextVar[_Budget] = ContextVar("_budget")


class _TooMuchError(Exception):
    """The check costs more than arguments are worth."""


class Checker:
    """A schema, ready to check arguments. Cheap to keep; safe for concurrent use."""

    __slots__ = ("_validator", "_what", "_why_not")

    def __init__(self, schema: Mapping[str, Any], *, what: str = "arguments") -> None:
        self._what = what
        self._why_not = unusable(schema)
        # A `$schema` inside would make the library go on with its own, unbounded validator.
        self._validator = _Bounded(_without_dialect(schema), registry=referencing.Registry())

    def complaint(self, arguments: Any) -> str:
        """Say what is wrong with `arguments`, or nothing. What cannot be checked is wrong."""
        if self._why_not:
            return f"{self._what}: cannot be checked ({self._why_not})"
        found = []
        _budget.set(_Budget())
        try:
            for error in islice(self._validator.iter_errors(arguments), MAX_COMPLAINTS):
                place = "/".join(str(part) for part in error.absolute_path) or self._what
                found.append(f"{place}: {error.message[:300]}")
        except _TooMuchError:
            found.append(f"{self._what}: cannot be checked (too large or too deep for the schema)")
        except Exception as error:  # noqa: BLE001 - a schema is a plugin's: refuse, not break
            found.append(f"{self._what}: cannot be checked ({type(error).__name__})")
        return "; ".join(found)


def unusable(schema: Any) -> str:
    """Say what in a schema cannot be evaluated in bounded time, or nothing."""
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, Mapping):
            if isinstance(value.get(_PATTERNED), Mapping):
                return "patternProperties is not supported; name the properties"
            pattern = value.get("pattern")
            if isinstance(pattern, str) and _matcher(pattern) is None:
                return (
                    f"the pattern {pattern[:100]!r} is not supported; leave out look-around and "
                    "back-references"
                )
            pending.extend(value.values())
    return ""


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


def _without_dialect(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_dialect(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: _without_dialect(inner)
        for name, inner in value.items()
        if not (name == "$schema" and isinstance(inner, str))
    }


def _pattern(validator: Any, pattern: str, text: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(text, "string"):
        return
    matcher = _matcher(pattern)
    if matcher is None or not matcher.isinstance_python(text):
        yield ValidationError(f"{text[:200]!r} does not match {pattern[:200]!r}")


def _unique(validator: Any, wanted: Any, items: Any, schema: Any) -> Iterator[ValidationError]:
    if not wanted or not validator.is_type(items, "array"):
        return
    if len({msgspec.json.encode(_plain(item), order="sorted") for item in items}) < len(items):
        yield ValidationError("the items are not all different")


def _plain(value: Any) -> Any:
    """Return the value with 1.0 written as 1: to JSON Schema they are the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _counted(keyword: Keyword) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget = _budget.get()
        budget.keywords -= 1 + _weight(instance)
        budget.nesting -= 1
        try:
            if budget.keywords < 0 or budget.nesting < 0:
                raise _TooMuchError
            yield from keyword(validator, value, instance, schema) or ()
        finally:
            budget.nesting += 1

    return check


def _weight(instance: Any) -> int:
    if isinstance(instance, str):
        return len(instance) // 1024
    return len(instance) // 16 if isinstance(instance, list | dict) else 0


_KEYWORDS: Mapping[str, Keyword] = {
    **jsonschema.Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "uniqueItems": _unique,
}
_Bounded: Any = extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    validators={name: _counted(keyword) for name, keyword in _KEYWORDS.items()},
)
