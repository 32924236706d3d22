"""One document at a time: bringing what it describes to what is written."""

from agents.services.applied.budgets import budget_document
from agents.services.applied.changes import Applied, Change, Difference, diff_of
from agents.services.applied.channels import channel_document
from agents.services.applied.kinds import APPLIERS, TRIALS
from agents.services.applied.policies import POLICY_NAME, policy_document

__all__ = [
    "APPLIERS",
    "POLICY_NAME",
    "TRIALS",
    "Applied",
    "Change",
    "Difference",
    "budget_document",
    "channel_document",
    "diff_of",
    "policy_document",
]
