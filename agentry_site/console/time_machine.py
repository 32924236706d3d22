"""The time machine's page: a policy's draft put to past calls, batch by batch, as the page asks.

Each batch is one question of `policy_simulate`. What the batches before it found goes back and
forth in a signed note, so that nothing has to be remembered here.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.apps import apps
from django.contrib.admin import AdminSite
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.services.simulating import (
    MAX_DAYS,
    Change,
    Example,
    Simulation,
    Unjudged,
    policy_simulate,
)
from core import clock
from core.admin import count, effect_pill, json_block, moment, no_sandbox
from core.errors import ConflictError, DomainError, InvalidInputError
from core.ids import made_at
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.admin import GuardedAdmin
from governance.guard.authentication import actor_of

DAYS: Final = (1, 7, 30, MAX_DAYS)
BATCH_CALLS: Final = 200
EXAMPLES: Final = 5
SHOWN_RULES: Final = 20
NOTE_SECONDS: Final = 3_600
_SALT: Final = "policy.try"

_TOLD: Final = (
    (Change.BLOCKED, _("Newly blocked"), _("would have been denied"), "state-denied", "red"),
    (Change.ASKED, _("Newly asked"), _("a person would have been asked"), "state-waiting", "amber"),
    (Change.FREE, _("Newly free"), _("would have gone through"), "state-approved", "blue"),
    (Change.UNCHANGED, _("Unchanged"), _("the same answer"), "state-on", "grey"),
)
_DONE: Final = {
    Change.BLOCKED: _("denied"),
    Change.ASKED: _("asked a person about"),
    Change.FREE: _("let through"),
}
_WHY: Final = {
    Unjudged.NOT_ASKED: _("refused, or ended, before anything decided about them"),
    Unjudged.WITHHELD: _("their arguments could not be redacted, and were not stored"),
    Unjudged.REDACTED: _("their arguments held a secret, which is not stored"),
    Unjudged.NO_TOOL: _("no policy was asked then, and the tool is not installed here as it was"),
    Unjudged.NO_RUN: _("their run was removed"),
}


class SoFar(msgspec.Struct, kw_only=True):
    """What was found until now, and for whom; goes to the page signed and comes back."""

    policy: UUID
    user: str
    days: int
    since: datetime
    version: str
    compared_with: str
    cursor: UUID | None = None
    judged: int = 0
    reconstructed: int = 0
    abnormal: int = 0
    changes: dict[str, int] = {}
    rules: dict[str, int] = {}  # by "<change> <rule>"
    unjudged: dict[str, int] = {}
    shown: dict[str, int] = {}

    @property
    def looked_at(self) -> int:
        return self.judged + sum(self.unjudged.values())

    def add(self, found: Simulation) -> list[Example]:
        """Count a batch; return those of its examples that are still wanted.

        Raises:
            ConflictError: It was put to other policies than the batches before.
        """
        if (self.version, self.compared_with) != (found.version, found.compared_with):
            raise ConflictError(
                "The draft, or what is in force, was changed while calls were looked at.",
                remedy="Try it again from the start.",
            )
        self.judged += found.judged
        self.reconstructed += found.reconstructed
        self.abnormal += found.abnormal
        self.changes = _sum(self.changes, {key.value: n for key, n in found.changes.items()})
        self.unjudged = _sum(self.unjudged, {key.value: n for key, n in found.unjudged.items()})
        rules = {f"{change.value} {rule}": n for (change, rule), n in found.rules.items()}
        self.rules = _sum(self.rules, rules)
        self.cursor = found.next_cursor
        wanted = []
        for example in found.examples:
            shown = self.shown.get(example.change.value, 0)
            if shown < EXAMPLES:
                self.shown = {**self.shown, example.change.value: shown + 1}
                wanted.append(example)
        return wanted

    def signed(self) -> str:
        return signing.dumps(msgspec.to_builtins(self), salt=_SALT, compress=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    change: str
    title: str
    value: str
    note: str
    icon: str
    tone: str
    is_urgent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    name: str
    change: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleShown:
    change: str
    tool: str
    agent: str
    user: str
    state: str
    before: SafeString
    after: SafeString
    rule_before: str
    rule_after: str
    why: str
    at: SafeString | str
    call_url: str
    run_url: str
    is_reconstructed: bool
    is_unprotected: bool
    arguments: SafeString


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeMachine:
    """The two addresses: the page, and one more batch for it."""

    site: AdminSite

    def urls(self) -> list[URLPattern]:
        place = "governance/policy/<uuid:policy_id>/try/"
        return [
            path(place, self.site.admin_view(self.page_view), name="policy_try"),
            path(f"{place}batch/", self.site.admin_view(self.batch_view), name="policy_try_batch"),
        ]

    def page_view(self, request: HttpRequest, policy_id: UUID) -> HttpResponse:
        """Ask how far back to look; with `days` in the address the page begins by itself."""
        policy, actor = self._seen(request, policy_id)
        days, problem = 7, ""
        if (given := request.GET.get("days")) is not None:
            try:
                days = _days(given)
            except InvalidInputError as error:
                problem = str(error)
        context = {
            **self.site.each_context(request),
            "title": gettext("Try the policy of %(workspace)s on past calls")
            % {"workspace": policy.workspace},
            "original": policy,
            "choices": sorted({*DAYS, days}),
            "days": days,
            "is_asked": given is not None,
            "problem": problem,
            "may_publish": access.can(actor, Perm.POLICY_PUBLISH, policy.workspace_id),
            "back": _policy_url(policy),
        }
        return TemplateResponse(request, "console/time_machine/page.html", context)

    def batch_view(self, request: HttpRequest, policy_id: UUID) -> HttpResponse:
        """Look at the next calls; answers with what is found until now, as a part of the page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        policy, actor = self._seen(request, policy_id)
        try:
            context = _batch(policy, actor, request.POST)
        except DomainError as error:
            context = {"problem": str(error)}
        return TemplateResponse(request, "console/time_machine/batch.html", context)

    def _seen(self, request: HttpRequest, policy_id: UUID) -> tuple[Any, Actor]:
        """Return the policy, for those who may see it and what was called with what."""
        page = self.site._registry[apps.get_model("governance.Policy")]
        policy = page.get_object(request, str(policy_id))
        if policy is None or not isinstance(page, GuardedAdmin):
            raise PermissionDenied
        actor = actor_of(request)
        for needed in (Perm.POLICY_VIEW, Perm.RUN_VIEW, Perm.RUN_PAYLOAD):
            if not access.can(actor, needed, policy.workspace_id):
                raise PermissionDenied(f"This needs the permission {needed}.")
        return policy, actor


def _batch(policy: Any, actor: Actor, given: Any) -> dict[str, Any]:
    before = _opened(given["so_far"], policy, actor) if given.get("so_far") else None
    days = before.days if before else _days(given.get("days", ""))
    found = policy_simulate(
        actor=actor,
        workspace=policy.workspace,
        days=days,
        limit=BATCH_CALLS,
        cursor=before.cursor if before else None,
        examples=EXAMPLES,
    )
    so_far = before or SoFar(
        policy=policy.pk,
        user=actor.username,
        days=days,
        since=found.since,
        version=found.version,
        compared_with=found.compared_with,
    )
    examples = so_far.add(found)
    rules = sorted(so_far.rules.items(), key=lambda each: -each[1])
    return {
        "so_far": so_far,
        "days": days,
        "next": so_far.signed() if so_far.cursor else "",
        "percent": _percent(so_far),
        "reached": moment(_reached(so_far)),
        "figures": _figures(so_far),
        "is_same": so_far.judged > 0 and so_far.changes.get(Change.UNCHANGED, 0) == so_far.judged,
        "rules": [_rule_row(key, n) for key, n in rules[:SHOWN_RULES]],
        "more_rules": max(len(rules) - SHOWN_RULES, 0),
        "unjudged": [
            {"count": n, "why": _WHY[Unjudged(reason)]} for reason, n in so_far.unjudged.items()
        ],
        "examples": [_shown(example) for example in examples],
        "no_sandbox": no_sandbox(),
        "back": _policy_url(policy),
    }


def _opened(note: str, policy: Any, actor: Actor) -> SoFar:
    """Read what the page brought back.

    Raises:
        InvalidInputError: It is not what was given to this person for this policy, or is too old.
    """
    try:
        content = signing.loads(note, salt=_SALT, max_age=NOTE_SECONDS)
        so_far = msgspec.convert(content, SoFar)
    except (signing.BadSignature, msgspec.ValidationError):
        so_far = None
    if so_far is None or (so_far.policy, so_far.user) != (policy.pk, actor.username):
        raise InvalidInputError(
            "What this page has counted so far cannot be gone on from any more.",
            remedy="Try it again from the start.",
        )
    return so_far


def _days(given: str) -> int:
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= MAX_DAYS:
        raise InvalidInputError(
            f"{given[:20]!r} is no number of days to look back.",
            remedy=f"Choose from 1 to {MAX_DAYS} days.",
        )
    return int(given)


def _sum(before: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return dict(Counter(before) + Counter(more))


def _reached(so_far: SoFar) -> datetime:
    if so_far.cursor is None:
        return so_far.since
    return datetime.fromtimestamp(made_at(so_far.cursor), tz=UTC)


def _percent(so_far: SoFar) -> int:
    """Say how much of the time was looked at; how many calls it has, nobody has counted."""
    now = clock.now()
    part = (now - _reached(so_far)) / (now - so_far.since)
    return max(1, min(99, round(part * 100)))


def _figures(so_far: SoFar) -> list[Figure]:
    return [
        Figure(
            change=change.value,
            title=str(title),
            value=count(so_far.changes.get(change.value, 0)),
            note=str(note),
            icon=icon,
            tone=tone,
            is_urgent=change is not Change.UNCHANGED and change.value in so_far.changes,
        )
        for change, title, note, icon, tone in _TOLD
    ]


def _rule_row(key: str, found: int) -> RuleRow:
    change, _, rule = key.partition(" ")
    return RuleRow(name=rule, change=str(_DONE[Change(change)]), count=found)


def _shown(example: Example) -> ExampleShown:
    return ExampleShown(
        change=example.change.value,
        tool=example.tool,
        agent=example.agent,
        user=example.user,
        state=example.state.replace("_", " "),
        before=effect_pill(example.before.effect),
        after=effect_pill(example.after.effect),
        rule_before=example.before.rule,
        rule_after=example.after.rule,
        why=example.after.reason,
        at=moment(example.at),
        call_url=reverse("admin:plugins_toolcall_change", args=[example.call]),
        run_url=reverse("admin:agents_run_change", args=[example.run]),
        is_reconstructed=example.is_reconstructed,
        is_unprotected=example.is_unprotected,
        arguments=json_block(example.arguments),
    )


def _policy_url(policy: Any) -> str:
    return reverse("admin:governance_policy_change", args=[policy.pk])
