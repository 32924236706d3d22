"""Who may do what and who said yes, as data: permissions, built-in roles, the actor every service
is given, and the words of approvals."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from governance.policy.contracts import PolicyInput


class Perm(StrEnum):
    """Everything that can be allowed. Call sites name permissions, never roles.

    The value is `<noun>.<verb>`; the guardian codename on Workspace is the same with `_`.
    """

    WORKSPACE_VIEW = "workspace.view"
    WORKSPACE_MANAGE = "workspace.manage"  # rename, members, roles
    AGENT_VIEW = "agent.view"
    AGENT_EDIT = "agent.edit"  # drafts
    AGENT_PUBLISH = "agent.publish"
    SESSION_VIEW = "session.view"
    RUN_VIEW = "run.view"
    RUN_PAYLOAD = "run.payload"  # see inputs, messages, arguments, results
    RUN_START = "run.start"
    RUN_CONTROL = "run.control"  # pause, resume, cancel, fork, replay
    TOOL_CALL_RESOLVE = "tool_call.resolve"  # say what happened to a call in doubt
    TOOL_VIEW = "tool.view"
    TOOL_EDIT = "tool.edit"
    PROVIDER_VIEW = "provider.view"
    PROVIDER_EDIT = "provider.edit"  # includes keys
    SECRET_VIEW = "secret.view"  # noqa: S105 - names and versions, never a value
    SECRET_EDIT = "secret.edit"  # noqa: S105 - set, rotate, delete
    POLICY_VIEW = "policy.view"
    POLICY_EDIT = "policy.edit"  # the draft
    POLICY_PUBLISH = "policy.publish"
    APPROVAL_VIEW = "approval.view"
    APPROVAL_DECIDE = "approval.decide"  # for whom the approval names as approver
    BUDGET_VIEW = "budget.view"  # what was spent, by whom and on what, and how much may be
    BUDGET_EDIT = "budget.edit"  # set limits of spending, and raise them
    CHANNEL_VIEW = "channel.view"
    CHANNEL_EDIT = "channel.edit"  # includes who of a channel is who here
    APPROVAL_GRANT = "approval.grant"  # standing approval of privileged tools
    TOKEN_MANAGE = "token.manage"  # noqa: S105 - see and revoke the tokens of others
    ACTIVITY_VIEW = "activity.view"

    @property
    def codename(self) -> str:
        return self.value.replace(".", "_")


_VIEW = frozenset(
    {
        Perm.WORKSPACE_VIEW,
        Perm.AGENT_VIEW,
        Perm.SESSION_VIEW,
        Perm.RUN_VIEW,
        Perm.TOOL_VIEW,
        Perm.PROVIDER_VIEW,
        Perm.POLICY_VIEW,
        Perm.APPROVAL_VIEW,
        Perm.BUDGET_VIEW,
        Perm.CHANNEL_VIEW,
    }
)

BUILTIN_ROLES: dict[str, frozenset[Perm]] = {
    "viewer": _VIEW,
    "operator": _VIEW
    | {
        Perm.RUN_PAYLOAD,
        Perm.RUN_START,
        Perm.RUN_CONTROL,
        Perm.TOOL_CALL_RESOLVE,
        Perm.APPROVAL_DECIDE,
    },
    "approver": _VIEW | {Perm.RUN_PAYLOAD, Perm.APPROVAL_DECIDE},
    "author": _VIEW
    | {
        Perm.RUN_PAYLOAD,
        Perm.RUN_START,
        Perm.RUN_CONTROL,
        Perm.AGENT_EDIT,
        Perm.AGENT_PUBLISH,
        Perm.TOOL_EDIT,
        Perm.SECRET_VIEW,
    },
    "auditor": _VIEW | {Perm.RUN_PAYLOAD, Perm.ACTIVITY_VIEW, Perm.SECRET_VIEW},
    "admin": frozenset(Perm),
}


class AuditAction(StrEnum):
    """What an entry of an audit chain tells of."""

    DECISION = "decision"  # a person or a policy settled what may happen
    EFFECT = "effect"  # something outward was done
    PERMISSION_CHANGED = "permission_changed"  # members, roles, what a role contains, accounts
    TOKEN_ISSUED = "token_issued"  # noqa: S105 - a kind of entry
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a kind of entry
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SECRET_CHANGED = "secret_changed"  # noqa: S105 - a kind of entry
    SECRET_USED = "secret_used"  # noqa: S105 - a kind of entry
    POLICY_PUBLISHED = "policy_published"
    BUDGET_CHANGED = "budget_changed"  # set, raised or taken away
    WORKER_CHANGED = "worker_changed"  # drained, or put to work again
    EXPORTED = "exported"  # somebody took a copy away


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSubject:
    """What an audit entry is about: its kind, its id, and what people call it."""

    kind: str
    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks. Comes from authentication only, never from a request body.

    `scopes` and `workspace_id` narrow what the user's roles allow (a token can be less than its
    owner, never more); None means not narrowed. The system actor acts for nobody: workers use it
    for moves that no person asked for.
    """

    user_id: UUID | None
    username: str
    is_superuser: bool = False
    token_id: UUID | None = None
    scopes: frozenset[Perm] | None = None
    workspace_id: UUID | None = None

    @property
    def is_system(self) -> bool:
        return self.user_id is None and self.username == "system"


SYSTEM = Actor(user_id=None, username="system")


class ApprovalState(StrEnum):
    """Where a question to a person stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"  # nobody decided in time, which counts as no
    WITHDRAWN = "withdrawn"  # what it was about is gone


class ApprovalKind(StrEnum):
    """What an approval is about; each kind has a handler in the registry."""

    TOOL_CALL = "tool_call"
    IN_DOUBT = "in_doubt"  # an effect that may or may not have happened
    BUDGET_RAISE = "budget_raise"  # a run would spend more than it may


# What deciding an approval of a kind takes, beside seeing what it is about.
DECIDING: Mapping[ApprovalKind, Perm] = {
    ApprovalKind.TOOL_CALL: Perm.APPROVAL_DECIDE,
    ApprovalKind.IN_DOUBT: Perm.TOOL_CALL_RESOLVE,
    ApprovalKind.BUDGET_RAISE: Perm.BUDGET_EDIT,
}


class BudgetKind(StrEnum):
    """Whose spending a budget bounds."""

    WORKSPACE = "workspace"
    AGENT = "agent"  # runs of the agent of this name
    USER = "user"  # runs that somebody asked for, and what these delegate


class BudgetPeriod(StrEnum):
    """How long a budget counts before it begins anew."""

    DAY = "day"
    WEEK = "week"  # from Monday
    MONTH = "month"
    TOTAL = "total"  # for ever


class ReservationState(StrEnum):
    """Where the money set aside for one model call stands."""

    RESERVED = "reserved"
    SETTLED = "settled"  # the model answered; what it cost is spent
    RELEASED = "released"  # it did not answer, or its worker was lost


class GrantState(StrEnum):
    """Where a standing approval of calls alike stands."""

    ACTIVE = "active"
    USED_UP = "used_up"
    EXPIRED = "expired"
    CHANGED = "changed"  # something it was given for is not what it was
    REVOKED = "revoked"


class Verdict(StrEnum):
    APPROVE = "approve"
    DENY = "deny"


class ChannelKind(StrEnum):
    """How a channel reaches people or programs."""

    WEBHOOK = "webhook"  # Standard Webhooks: signed JSON
    EMAIL = "email"
    SLACK = "slack"  # Slack's incoming webhooks and interactive messages, and what speaks alike


class ChannelEvent(StrEnum):
    """What a channel can be told of."""

    APPROVAL_ASKED = "approval.asked"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_EXPIRING = "approval.expiring"
    APPROVAL_ESCALATED = "approval.escalated"
    RUN_FAILED = "run.failed"  # the first of an agent for a reason, once in a while
    BUDGET_WARNING = "budget.warning"  # most of one is spent; once a period
    BUDGET_EXHAUSTED = "budget.exhausted"  # all of one is spent, or a run waits for more
    TEST = "channel.test"  # somebody tries whether it works


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up after the last attempt; can be sent again


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What came of a POST: a status, or a sentence why there is none."""

    status: int = 0
    body: bytes = b""
    problem: str = ""


class Poster(Protocol):
    """Sends POST requests to addresses people have given; private ones only where allowed."""

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Posted:
        """Never raises for what the other side does; bounded in time and size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A decision on its way to what it is about. `by` is empty when time decided.

    `arguments` are those the approver put in place of the asked ones; None: as they were asked.
    `choice` is which of the approval's choices was taken, where it has any.
    """

    approval_id: UUID
    workspace_id: UUID
    subject_id: UUID
    run_id: UUID | None
    state: ApprovalState
    by: str
    reason: str
    surface: str
    arguments: Mapping[str, Any] | None = None
    choice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """By which terms a policy asks about a call: whom, how many, and who may not agree."""

    approvers: tuple[str, ...] = ()
    escalate_to: tuple[str, ...] = ()
    quorum: int = 1
    allow_self: bool = False
    allow_owner: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Arguments an approver may put in place of the asked ones, and the facts that changes.

    `terms` are those by which the policy asks about the new ones; None: it asks nobody.
    """

    arguments: Mapping[str, Any]
    facts: Mapping[str, str]
    terms: Terms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an approval allows: facts by name, under one digest."""

    approval_id: UUID
    state: ApprovalState
    digest: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alikeness:
    """What of an approved call others can be like: the facts they share, and the call itself."""

    tool: str
    agent: str
    facts: Mapping[str, str]
    question: "PolicyInput"
