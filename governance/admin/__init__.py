"""Admin pages of governance; changes go through the same services as the API."""

from governance.admin import (
    access,
    approvals,
    budgets,
    channels,
    grants,
    policies,
    policy_versions,
    records,
    secrets,
)

__all__ = [
    "access", "approvals", "budgets", "channels", "grants", "policies", "policy_versions",
    "records", "secrets",
]  # fmt: skip
