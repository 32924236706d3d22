"""A permission matrix after reading: rules, what they ask of a call, and what they answer.

Rules of the effect `allow` open, the others restrict. What a rule says of a value is true, false or
cannot be judged (a number where a text is expected, a text too long for a pattern, a path with
`..`). A value that cannot be judged never opens and always restricts. Of several values under one
path, every one must fit for a rule to open, and a single one suffices to restrict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeAlias

from governance.policy.contracts import Effect, PolicyDecision
from governance.policy.matrix.patterns import Pattern

MAX_PATTERN_TEXT = 2048
MAX_PATH_TEXT = 4096
MAX_HOST_TEXT = 260
MAX_EXACT = 2**53 - 1  # beyond it engines round

# From harmless to not; what a manifest calls by another name counts as the last.
CLASSES = ("read", "idempotent", "keyed", "irreversible")

Scalar: TypeAlias = str | int | float | bool | None


class Each(Enum):
    """The step `[*]`: every item of a list, every value of a mapping, else the value itself."""

    EACH = "[*]"


Step: TypeAlias = str | int | Each


class TestKind(StrEnum):
    EQUALS = "equals"  # one of `scalars`
    GLOB = "glob"  # a text like one of `globs`
    REGEX = "regex"  # a text that `pattern` covers from end to end
    MIN = "min"
    MAX = "max"
    HOST = "host"
    PATH = "path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One question about one value."""

    kind: TestKind
    is_negated: bool = False
    scalars: tuple[Scalar, ...] = ()
    globs: tuple[str, ...] = ()
    pattern: Pattern | None = None
    bound: int | float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is asked of the values under `path`; `is_present` None does not ask whether any are."""

    path: tuple[Step, ...]
    tests: tuple[Test, ...] = ()
    is_present: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Empty tuples ask nothing. `users`, `groups` and `roles` are one list of people: being on it
    in one way is enough."""

    name: str
    line: int
    decision: PolicyDecision
    tools: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    is_privileged: bool | None = None
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    sandboxes: tuple[str, ...] = ()
    arguments: tuple[Condition, ...] = ()
    net: Test | None = None
    hosts: Test | None = None
    paths: Test | None = None

    @property
    def opens(self) -> bool:
        return self.decision.effect is Effect.ALLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Rules in the order of the file, and what holds where none of them does: by effect class, with
    `privileged` before all classes."""

    rules: tuple[Rule, ...]
    default: Mapping[str, PolicyDecision]

    def by_force(self) -> tuple[Rule, ...]:
        """Return the rules in the order in which they win: deny, ask, allow, each as written."""
        return tuple(
            rule
            for effect in (Effect.DENY, Effect.ASK, Effect.ALLOW)
            for rule in self.rules
            if rule.decision.effect is effect
        )
