"""Which kind of document is applied by what."""

from collections.abc import Mapping
from typing import Final

from agents.services.applied.budgets import budget_applied
from agents.services.applied.catalogue import (
    model_applied,
    provider_applied,
    provider_tried,
    route_applied,
    tool_applied,
)
from agents.services.applied.changes import Applier
from agents.services.applied.channels import channel_applied, channel_tried
from agents.services.applied.policies import policy_applied
from agents.services.applied.secrets import secret_applied, secret_tried
from agents.services.documents import Kind

APPLIERS: Final[Mapping[Kind, Applier]] = {
    Kind.SECRET: secret_applied,
    Kind.PROVIDER: provider_applied,
    Kind.MODEL: model_applied,
    Kind.ROUTE: route_applied,
    Kind.TOOL: tool_applied,
    Kind.BUDGET: budget_applied,
    Kind.CHANNEL: channel_applied,
    Kind.POLICY: policy_applied,
}
# What a dry run does instead, where the real thing would tell too much.
TRIALS: Final[Mapping[Kind, Applier]] = {
    Kind.SECRET: secret_tried,
    Kind.PROVIDER: provider_tried,
    Kind.CHANNEL: channel_tried,
}
