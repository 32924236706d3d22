"""REST view of the time machine: what a policy would have said of recorded calls."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.services.simulating import (
    MAX_CALLS,
    MAX_DAYS,
    MAX_EXAMPLES,
    Change,
    Simulation,
    Unjudged,
    policy_simulate,
)
from core.api.serializers import StrictSerializer
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.policy.sources import PolicyLanguage
from governance.services.policies import MAX_SOURCE_CHARS


class SimulateInput(StrictSerializer):
    """Without `source` the draft is tried."""

    days = serializers.IntegerField(min_value=1, max_value=MAX_DAYS, default=7)
    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_CALLS, default=MAX_CALLS, help_text="Calls to look at, at most."
    )
    cursor = serializers.UUIDField(
        required=False, help_text="The `next_cursor` of the answer before; goes on from there."
    )
    examples = serializers.IntegerField(
        min_value=0, max_value=MAX_EXAMPLES, default=5, help_text="Of each kind of change, at most."
    )
    source: Any = serializers.CharField(
        max_length=MAX_SOURCE_CHARS, trim_whitespace=False, required=False
    )
    language = serializers.ChoiceField(
        choices=[member.value for member in PolicyLanguage], required=False
    )


class AnswerSerializer(serializers.Serializer[Any]):
    effect = serializers.ChoiceField(choices=["allow", "ask", "deny"])
    rule = serializers.CharField()
    reason = serializers.CharField()
    is_abnormal = serializers.BooleanField()


_CHANGES = [change.value for change in Change if change is not Change.UNCHANGED]


class ExampleSerializer(serializers.Serializer[Any]):
    """A call they differ about; `before` is what is in force, `after` what is tried."""

    change = serializers.ChoiceField(choices=_CHANGES)
    call = serializers.UUIDField()
    run = serializers.UUIDField()
    at = serializers.DateTimeField()
    tool = serializers.CharField()
    agent = serializers.CharField()
    user = serializers.CharField()
    state = serializers.CharField(help_text="What became of the call then.")
    is_reconstructed = serializers.BooleanField()
    before = AnswerSerializer()
    after = AnswerSerializer()
    arguments = serializers.DictField()


class RuleCountSerializer(serializers.Serializer[Any]):
    change = serializers.ChoiceField(choices=_CHANGES)
    rule = serializers.CharField(help_text="Of the policy that is tried.")
    count = serializers.IntegerField()


class UnjudgedSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=[reason.value for reason in Unjudged])
    count = serializers.IntegerField()


class SimulationSerializer(serializers.Serializer[Any]):
    """One batch, newest calls first. `next_cursor` null: no more calls in the time asked for."""

    since = serializers.DateTimeField()
    version = serializers.CharField(help_text="Digest of the policy that is tried.")
    compared_with = serializers.CharField(help_text="Version of what is in force.")
    judged = serializers.IntegerField()
    reconstructed = serializers.IntegerField(
        help_text="Of these, put together from the run, with groups and roles of today."
    )
    abnormal = serializers.IntegerField(help_text="Of these, where the policy tried had no answer.")
    newly_blocked = serializers.IntegerField()
    newly_asked = serializers.IntegerField()
    newly_free = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    rules = RuleCountSerializer(many=True)
    unjudged = UnjudgedSerializer(many=True)
    examples = ExampleSerializer(many=True)
    next_cursor = serializers.UUIDField(allow_null=True)


class PolicySimulationViewSet(WorkspaceViewSet):
    """Tries a policy on what was called."""

    perms = {"simulate": Perm.POLICY_VIEW}
    serializer_class = SimulationSerializer
    input_serializers = {"simulate": SimulateInput}
    unwrapped_actions = frozenset({"simulate"})
    problem_statuses = {"simulate": (503,)}

    @extend_schema(
        description="Put the recorded calls of the last days to the draft, or to a policy given "
        "here, and say what would be blocked, asked about or free that is not today. Changes "
        "nothing. Takes `run.view` and `run.payload` too: a policy can tell what it is asked.",
        request=SimulateInput,
        responses={200: SimulationSerializer},
    )
    def simulate(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        found = policy_simulate(actor=self.actor, workspace=self.workspace, **self.checked())
        return Response(SimulationSerializer(_shown(found)).data)


def _shown(found: Simulation) -> dict[str, Any]:
    return {
        "since": found.since,
        "version": found.version,
        "compared_with": found.compared_with,
        "judged": found.judged,
        "reconstructed": found.reconstructed,
        "abnormal": found.abnormal,
        **{change.value: found.changes[change] for change in Change},
        "rules": [
            {"change": change.value, "rule": rule, "count": count}
            for (change, rule), count in found.rules.most_common()
        ],
        "unjudged": [
            {"reason": reason.value, "count": count}
            for reason, count in found.unjudged.most_common()
        ],
        "examples": [asdict(example) for example in found.examples],
        "next_cursor": found.next_cursor,
    }
