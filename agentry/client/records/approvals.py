"""Questions to people: what is asked, what an approver should know, and what was said."""

from datetime import datetime
from typing import Any

from agentry.client.records.base import Difference, Record


class ArgumentDifference(Difference, frozen=True, kw_only=True):
    """Where an approver's arguments differ from the asked ones."""


class Vote(Record, frozen=True, kw_only=True):
    """`is_counted`: it was given for the arguments as they stand. `on_behalf_of`: for whom."""

    user: str
    on_behalf_of: str | None = None
    verdict: str = ""
    surface: str = ""
    at: datetime | None = None
    is_counted: bool = True


class EvidencePlace(Record, frozen=True, kw_only=True):
    position: int = 0
    kind: str = ""
    excerpt: str = ""


class EvidenceSource(Record, frozen=True, kw_only=True):
    """`is_found` false: the value stands nowhere but in the model's own words, which is usual."""

    path: str
    is_found: bool = False
    sentence: str = ""
    places: tuple[EvidencePlace, ...] = ()


class SimilarDecision(Record, frozen=True, kw_only=True):
    approval: str
    state: str = ""
    by: str = ""
    reason: str = ""
    at: str = ""
    agent: str = ""
    requester: str = ""
    difference: tuple[ArgumentDifference, ...] = ()


class EvidenceSandbox(Record, frozen=True, kw_only=True):
    """`is_unprotected`: the program would run without a sandbox, beside the worker."""

    engine: str = ""
    is_unprotected: bool = False
    net: tuple[str, ...] = ()


class Evidence(Record, frozen=True, kw_only=True):
    """What an approver should know; only where one approval is asked for."""

    sandbox: EvidenceSandbox | None = None
    plan: dict[str, Any] | None = None
    plan_problem: str = ""
    sources: tuple[EvidenceSource, ...] = ()
    waits: dict[str, Any] = {}
    similar: tuple[SimilarDecision, ...] = ()
    counts: dict[str, int] = {}


class Approval(Record, frozen=True, kw_only=True):
    """A question to a person, bound to exactly what is asked for."""

    id: str
    title: str
    state: str
    kind: str = ""
    subject: str = ""
    run: str | None = None
    agent: str = ""
    requester: str = ""
    question: str | None = None
    tool: str = ""
    effect: str = ""
    is_privileged: bool = False
    is_grantable: bool = False
    choices: tuple[str, ...] = ()
    choice: str = ""
    binding: dict[str, str] | None = None
    binding_digest: str | None = None
    arguments: dict[str, Any] | None = None
    edited_arguments: dict[str, Any] | None = None
    difference: tuple[ArgumentDifference, ...] | None = ()
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    allow_self: bool = False
    allow_owner: bool = True
    rule: str = ""
    policy_version: str = ""
    expires_at: datetime | None = None
    on_expiry: str = ""
    escalate_to: tuple[str, ...] = ()
    escalations: int = 0
    warned_at: datetime | None = None
    created_at: datetime | None = None
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str | None = None
    surface: str = ""
    used_at: datetime | None = None
    votes: tuple[Vote, ...] = ()
    evidence: Evidence | None = None
    may_decide: bool = False
    payload_hidden: bool = False
