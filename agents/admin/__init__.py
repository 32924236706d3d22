"""Console pages of agents and their work."""

from agents.admin.agents import AgentAdmin
from agents.admin.catalogue import ModelAdmin, ModelRouteAdmin, ProviderAdmin
from agents.admin.prices import ModelPriceAdmin, PriceListAdmin
from agents.admin.records import (
    CheckpointAdmin,
    MessageAdmin,
    RunSnapshotAdmin,
    SessionAdmin,
    WorkerAdmin,
)
from agents.admin.runs import RunAdmin
from agents.admin.saved_filters import SavedFilterAdmin
from agents.admin.versions import AgentVersionAdmin

__all__ = [
    "AgentAdmin",
    "AgentVersionAdmin",
    "CheckpointAdmin",
    "MessageAdmin",
    "ModelAdmin",
    "ModelPriceAdmin",
    "ModelRouteAdmin",
    "PriceListAdmin",
    "ProviderAdmin",
    "RunAdmin",
    "RunSnapshotAdmin",
    "SavedFilterAdmin",
    "SessionAdmin",
    "WorkerAdmin",
]
