"""Policies, their versions, and what trying and shadowing them answers."""

from datetime import datetime
from typing import Any

from agentry.client.records.base import Record


class PolicyVersion(Record, frozen=True, kw_only=True):
    """One published policy; never changes."""

    number: int
    language: str = "matrix"
    source: str = ""
    cases: str = ""
    failing_cases: int = 0
    digest: str = ""
    note: str = ""
    is_active: bool = False
    is_shadow: bool = False
    shadow_asked: int = 0
    shadow_differing: int = 0
    shadow_skipped: int = 0
    published_at: datetime | None = None
    published_by: str | None = None


class Policy(Record, frozen=True, kw_only=True):
    """The draft, and the numbers of the version in force and of the shadow."""

    source: str
    language: str = "matrix"
    cases: str = ""
    active: int | None = None
    shadow: int | None = None
    is_published: bool = False
    updated_at: datetime | None = None


class CaseFailure(Record, frozen=True, kw_only=True):
    """A test case that went otherwise; `sentence` says how."""

    name: str
    line: int
    sentence: str
    decision: dict[str, Any] = {}


class CasesRun(Record, frozen=True, kw_only=True):
    count: int
    failures: tuple[CaseFailure, ...] = ()


class PolicyDifference(Record, frozen=True, kw_only=True):
    """A call that a shadow would have decided otherwise."""

    id: str
    version: int
    call: str
    run: str
    tool: str
    decided_by: str = ""
    effect: str = ""
    rule: str = ""
    reason: str = ""
    shadow_effect: str = ""
    shadow_rule: str = ""
    shadow_reason: str = ""
    is_abnormal: bool = False
    at: datetime | None = None


class SimulatedRule(Record, frozen=True, kw_only=True):
    change: str
    rule: str
    count: int


class SimulatedCall(Record, frozen=True, kw_only=True):
    """A call about which a policy differs; arguments are None without `run.payload`."""

    change: str
    call: str
    run: str
    tool: str
    at: datetime | None = None
    agent: str = ""
    user: str = ""
    state: str = ""
    is_reconstructed: bool = False
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    arguments: dict[str, Any] | None = None


class Simulation(Record, frozen=True, kw_only=True):
    """One batch of recorded calls put to a policy; `next_cursor` None: it was the last."""

    since: datetime | None = None
    version: str = ""
    compared_with: str = ""
    judged: int = 0
    reconstructed: int = 0
    abnormal: int = 0
    newly_blocked: int = 0
    newly_asked: int = 0
    newly_free: int = 0
    unchanged: int = 0
    rules: tuple[SimulatedRule, ...] = ()
    unjudged: tuple[dict[str, Any], ...] = ()
    examples: tuple[SimulatedCall, ...] = ()
    next_cursor: str | None = None
