"""The question put to a policy, the answer to it, and what an engine promises.

An answer is a function of the question and the policy's digest alone: asked again later, or by
another engine, it is the same. That is what lets a claim check what an approval was given for,
and a draft be tried on the calls of last week.
"""

import hashlib
from enum import StrEnum
from typing import Any, Protocol

import msgspec

BUILTIN_VERSION = "builtin-1"
NO_SANDBOX = "none"
SITES_SANDBOX = "site"
ABNORMAL_RULE = "policy-failed"
DEFAULT_EXPIRES_SECONDS = 86_400.0


class PolicySubject(msgspec.Struct, frozen=True, kw_only=True):
    """For whom the call is made, as authentication knows them, and through which surface."""

    user: str = ""
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    surface: str = ""


class PolicyAgent(msgspec.Struct, frozen=True, kw_only=True):
    """Which agent calls; `depth` counts the delegations above it, empty name: no agent does."""

    name: str = ""
    version: str = ""
    depth: int = 0


class PolicyTool(msgspec.Struct, frozen=True, kw_only=True):
    """What is called; `effect` is the effect class, `net` what the manifest opens (host:port).

    `sandbox` is the engine the manifest asks for, `site` when it leaves that to the site, `none`
    when the tool runs in the worker's own process.
    """

    name: str
    version: str = "1"
    digest: str = ""
    effect: str = "irreversible"
    privileged: bool = False
    net: tuple[str, ...] = ()
    sandbox: str = NO_SANDBOX


class PolicyInput(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as a policy sees it. `hosts` (lower case) and `paths` are those that `arguments`
    name; whoever makes the input finds them."""

    subject: PolicySubject
    workspace: str
    agent: PolicyAgent
    tool: PolicyTool
    arguments: dict[str, Any] = {}
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    run_id: str = ""

    def canonical(self) -> bytes:
        """Return JSON with sorted keys and no blanks: equal for equal inputs, on every machine.

        Raises:
            TypeError, ValueError, RecursionError: the arguments are no JSON.
        """
        return msgspec.json.encode(self, order="sorted")

    def digest(self) -> str:
        return hashlib.sha256(self.canonical()).hexdigest()


class Effect(StrEnum):
    """What a policy says of a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class OnExpiry(StrEnum):
    """What becomes of a question nobody decided in time."""

    DENY = "deny"
    ESCALATE = "escalate"  # ask `escalate_to` instead
    ALLOW_DEFAULT = "allow_default"  # silence means yes
    PARK = "park"  # the run waits on, until a person looks


class PolicyDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `rule` names what decided; `reason` is for people and for the model.

    `approvers` are `user:<name>`, `group:<name>` or `role:<name>`; empty means everybody who holds
    the permission. `allow_self` and `allow_owner`: who asked, and who wrote the agent's version,
    may agree. `is_grantable`: a yes may be given to calls alike too; None: unless several must
    agree, or the tool is both privileged and irreversible. `version` is the digest of the policy.
    `is_abnormal` says that the policy gave no usable answer and the call was therefore denied.
    """

    effect: Effect
    rule: str
    reason: str = ""
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    expires_seconds: float = DEFAULT_EXPIRES_SECONDS
    on_expiry: OnExpiry = OnExpiry.DENY
    escalate_to: tuple[str, ...] = ()
    allow_self: bool = False
    allow_owner: bool = True
    is_grantable: bool | None = None
    version: str = BUILTIN_VERSION
    is_abnormal: bool = False


class PolicyEngine(Protocol):
    """Gives answers by one policy. Safe for concurrent use by threads."""

    @property
    def digest(self) -> str:
        """Names the policy: the same text has the same digest in every engine."""
        ...

    def decide(self, question: PolicyInput) -> PolicyDecision:
        """Answer within the engine's deadline, blocking the calling thread until then.

        Never raises: what goes wrong denies, with `is_abnormal` and a sentence that says why.
        """
        ...


def abnormal(why: str, *, version: str) -> PolicyDecision:
    """Return the denial of a call whose policy gave no usable answer; `why` is a clause."""
    return PolicyDecision(
        effect=Effect.DENY,
        rule=ABNORMAL_RULE,
        reason=f"Denied, because the policy could not decide: {why}.",
        version=version,
        is_abnormal=True,
    )
