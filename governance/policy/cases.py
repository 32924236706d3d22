"""Test cases that live beside a policy: calls, and what is expected of it.

A case gives only what matters of a call; the rest is `given` for all cases of the file, or
ordinary. Cases run against any engine and change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from governance.policy.contracts import (
    Effect,
    PolicyAgent,
    PolicyDecision,
    PolicyEngine,
    PolicyInput,
    PolicySubject,
    PolicyTool,
)
from governance.policy.placed import Mistakes, Placed, read

MAX_CASES = 2000
EXPECTED_KEYS = ("effect", "rule", "approvers", "quorum", "expires_seconds", "on_expiry",
                 "escalate_to", "allow_self")  # fmt: skip
_PARTS: Mapping[str, type[msgspec.Struct]] = {
    "subject": PolicySubject,
    "agent": PolicyAgent,
    "tool": PolicyTool,
}

ORDINARY = PolicyInput(
    subject=PolicySubject(user="somebody", surface="agent"),
    workspace="default",
    agent=PolicyAgent(name="agent", version="1"),
    tool=PolicyTool(name="tool", effect="read"),
    run_id="run",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCase:
    """One call and what must come of it; what is not in `expected` may be anything."""

    name: str
    line: int
    question: PolicyInput
    expected: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFailure:
    """A case that went otherwise."""

    case: PolicyCase
    decision: PolicyDecision
    differing: tuple[str, ...]

    def __str__(self) -> str:
        said = _plain(self.decision)
        what = ", ".join(
            f"{key} is {said[key]!r}, expected {self.case.expected[key]!r}"
            for key in self.differing
        )
        by = f" (rule {self.decision.rule}: {self.decision.reason})" if self.decision.reason else ""
        return f"line {self.case.line}, {self.case.name}: {what}{by}"


def read_cases(text: str) -> tuple[PolicyCase, ...]:
    """Return the cases in a YAML text.

    Raises:
        PolicyInvalidError: `fields` and `detail["mistakes"]` name every place.
    """
    mistakes = Mistakes()
    root = read(text, mistakes)
    keys = mistakes.mapping(root, "the file of cases", ("given", "cases"))
    given: dict[str, Any] = msgspec.to_builtins(ORDINARY)
    if "given" in keys:
        given = _merged(given, _fragment(mistakes, keys["given"]))
    entries = keys["cases"].value if "cases" in keys else None
    if not isinstance(entries, list):
        entries = []
        if not mistakes.found:
            mistakes.add(root, "there are no cases", "Write `cases:` with a list.")
    if len(entries) > MAX_CASES:
        mistakes.add(entries[MAX_CASES], f"more than {MAX_CASES} cases", "Split the file.")
    cases = [_case(mistakes, entry, number, given) for number, entry in enumerate(entries, 1)]
    mistakes.raise_any("Cases")
    return tuple(case for case in cases if case is not None)


def run_cases(policy: PolicyEngine, cases: Sequence[PolicyCase]) -> tuple[CaseFailure, ...]:
    """Return the cases that went otherwise than expected. A policy that fails fails its case."""
    failures = []
    for case in cases:
        decision = policy.decide(case.question)
        said = _plain(decision)
        differing = tuple(key for key, value in case.expected.items() if said[key] != value)
        if decision.is_abnormal and not differing:
            differing = ("effect",)
        if differing:
            failures.append(CaseFailure(case=case, decision=decision, differing=differing))
    return tuple(failures)


def _plain(decision: PolicyDecision) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(decision)
    if decision.is_abnormal:
        found["effect"] = "deny, because the policy failed"
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def _case(
    mistakes: Mistakes, place: Placed, number: int, given: Mapping[str, Any]
) -> PolicyCase | None:
    keys = mistakes.mapping(place, "a case", ("name", "input", "expect"))
    if not keys:
        return None
    if "expect" not in keys:
        mistakes.add(place, "this case expects nothing", "Write `expect: deny`, for example.")
        return None
    merged = dict(given)
    if "input" in keys:
        merged = _merged(merged, _fragment(mistakes, keys["input"]))
    try:
        question = msgspec.convert(merged, PolicyInput)
    except msgspec.ValidationError as error:
        mistakes.add(place, f"its input is wrong: {error}", "Give what the reference lists.")
        return None
    name = keys["name"].value if "name" in keys else f"case {number}"
    return PolicyCase(
        name=str(name),
        line=place.line,
        question=question,
        expected=_expected(mistakes, keys["expect"]),
    )


def _fragment(mistakes: Mistakes, place: Placed) -> dict[str, Any]:
    """Return a part of an input, having refused what inputs do not have."""
    names = [field.name for field in msgspec.structs.fields(PolicyInput)]
    keys = mistakes.mapping(place, "an input", names)
    for name, struct in _PARTS.items():
        if name in keys:
            known = [field.name for field in msgspec.structs.fields(struct)]
            mistakes.mapping(keys[name], f"`{name}`", known)
    return {name: held.plain() for name, held in keys.items()}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one input over another: the named parts field by field, all else as a whole."""
    found = {**under, **over}
    for name in _PARTS:
        if isinstance(over.get(name), dict):
            found[name] = {**under[name], **over[name]}
    return found


def _expected(mistakes: Mistakes, place: Placed) -> Mapping[str, Any]:
    if isinstance(place.value, str):
        found: dict[str, Any] = {"effect": place.value}
    else:
        keys = mistakes.mapping(place, "`expect`", EXPECTED_KEYS)
        if place.value == {}:
            mistakes.add_at_key(place, "`expect` says nothing", "Write `expect: deny`.")
        found = {key: held.plain() for key, held in keys.items()}
    if "effect" in found and found["effect"] not in list(Effect):
        listed = ", ".join(Effect)
        mistakes.add(place, f"`effect` cannot be `{found['effect']}`", f"One of: {listed}.")
    return found
