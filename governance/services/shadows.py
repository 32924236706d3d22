"""Writing down what shadows would have decided otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F

from core import clock
from core.redaction import redact_text
from governance.models import PolicyDifference, PolicyVersion
from governance.policy.contracts import PolicyDecision

MAX_KEPT = 10_000
_MAX_TEXT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A call that a shadow would have decided otherwise."""

    call_id: UUID
    run_id: UUID
    tool: str
    decided: PolicyDecision
    shadow: PolicyDecision


def shadow_record(
    version_id: UUID, *, asked: int, skipped: int, differences: Sequence[Difference]
) -> None:
    """Count what a shadow was asked and keep what it said otherwise, once a call.

    For workers. Of one version at most `MAX_KEPT` differences are kept; all are counted.
    """
    with transaction.atomic():
        version = PolicyVersion.objects.select_for_update().filter(pk=version_id).first()
        if version is None:
            return
        known = set(
            PolicyDifference.objects.filter(
                version=version, call_id__in=[each.call_id for each in differences]
            ).values_list("call_id", flat=True)
        )
        fresh = {each.call_id: each for each in differences if each.call_id not in known}
        room = max(MAX_KEPT - version.shadow_differing, 0)
        PolicyDifference.objects.bulk_create(
            [_row(version, each) for each in list(fresh.values())[:room]]
        )
        PolicyVersion.objects.filter(pk=version_id).update(
            shadow_asked=F("shadow_asked") + asked,
            shadow_skipped=F("shadow_skipped") + skipped,
            shadow_differing=F("shadow_differing") + len(fresh),
        )


def _row(version: PolicyVersion, difference: Difference) -> PolicyDifference:
    decided, shadow = difference.decided, difference.shadow
    return PolicyDifference(
        workspace_id=version.workspace_id,
        version=version,
        call_id=difference.call_id,
        run_id=difference.run_id,
        tool=difference.tool[:200],
        decided_by=decided.version[:200],
        effect=decided.effect.value,
        rule=decided.rule[:200],
        reason=redact_text(decided.reason)[:_MAX_TEXT],
        shadow_effect=shadow.effect.value,
        shadow_rule=shadow.rule[:200],
        shadow_reason=redact_text(shadow.reason)[:_MAX_TEXT],
        is_abnormal=shadow.is_abnormal,
        at=clock.now(),
    )
