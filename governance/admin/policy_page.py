"""What the page of a policy shows beside its draft: versions, the shadow, test cases."""

from dataclasses import dataclass
from typing import Final

from django.db.models import Count
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from core.admin import Line, effect_pill, moment, pill, text_difference
from core.errors import DomainError
from governance.contracts import Actor
from governance.models import Policy, PolicyDifference, PolicyVersion
from governance.selectors.policies import policy_difference_list, policy_version_list
from governance.services.policies import policy_cases_run

SHOWN_VERSIONS: Final = 20
SHOWN_DIFFERENCES: Final = 5
SHOWN_FAILURES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    version: PolicyVersion
    state: SafeString
    at: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How often a shadow said something else than what was decided."""

    before: SafeString
    after: SafeString
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    row: PolicyDifference
    before: SafeString
    after: SafeString
    at: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowShown:
    version: PolicyVersion
    pairs: tuple[Pair, ...]
    newest: tuple[DifferenceRow, ...]
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesShown:
    """What came of running the test cases; `problem`: they could not be run."""

    count: int = 0
    failures: tuple[str, ...] = ()
    more: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPage:
    active: PolicyVersion | None
    active_at: SafeString | str
    shadow: ShadowShown | None
    versions: tuple[VersionRow, ...]
    earlier: int
    versions_url: str
    difference: tuple[Line, ...]
    is_published: bool
    changed: SafeString | str


def policy_page(row: Policy, actor: Actor) -> PolicyPage:
    """Gather the page. The caller has checked that the actor may see the policy."""
    versions = policy_version_list(actor, row.workspace)
    shown = list(versions[:SHOWN_VERSIONS])
    active = in_force(row)
    shadow = versions.filter(is_shadow=True).first()
    listed = reverse("admin:governance_policyversion_changelist")
    return PolicyPage(
        active=active,
        active_at=moment(active.published_at) if active else "",
        shadow=_shadow(actor, row, shadow) if shadow else None,
        versions=tuple(
            VersionRow(version=each, state=version_pill(each), at=moment(each.published_at))
            for each in shown
        ),
        earlier=max(versions.count() - len(shown), 0),
        versions_url=f"{listed}?workspace__id__exact={row.workspace_id}",
        difference=text_difference(active.source if active else "", row.draft),
        is_published=active is not None and active.source == row.draft,
        changed=moment(row.updated_at),
    )


def in_force(row: Policy) -> PolicyVersion | None:
    """Return the version a workspace decides by; None: the built-in rule decides."""
    rows = PolicyVersion.objects.select_related("published_by")
    return rows.filter(workspace_id=row.workspace_id, is_active=True).first()


def version_pill(version: PolicyVersion) -> SafeString:
    if version.is_shadow:
        return pill("waiting", label=gettext("shadow"))
    if version.is_active:
        return pill("on", label=gettext("in force"))
    return pill("off", label=gettext("past"))


def cases_shown(actor: Actor, row: Policy) -> CasesShown:
    """Run the draft's test cases; what cannot be run is told as a sentence."""
    try:
        run = policy_cases_run(actor, workspace=row.workspace)
    except DomainError as error:
        return CasesShown(problem=str(error))
    told = tuple(str(failure) for failure in run.failures[:SHOWN_FAILURES])
    return CasesShown(count=run.count, failures=told, more=len(run.failures) - len(told))


def _shadow(actor: Actor, row: Policy, version: PolicyVersion) -> ShadowShown:
    rows = policy_difference_list(actor, row.workspace).filter(version=version)
    counted = rows.order_by().values_list("effect", "shadow_effect").annotate(n=Count("pk"))
    listed = reverse("admin:governance_policydifference_changelist")
    return ShadowShown(
        version=version,
        pairs=tuple(
            Pair(before=effect_pill(before), after=effect_pill(after), count=found)
            for before, after, found in sorted(counted, key=lambda each: -each[2])
        ),
        newest=tuple(
            DifferenceRow(
                row=each,
                before=effect_pill(each.effect),
                after=effect_pill(each.shadow_effect),
                at=moment(each.at),
            )
            for each in rows[:SHOWN_DIFFERENCES]
        ),
        url=f"{listed}?workspace__id__exact={row.workspace_id}",
    )
