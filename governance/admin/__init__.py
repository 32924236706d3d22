"""Admin pages of governance; changes go through the same services as the API."""

from governance.admin import access, approvals, channels, policies, secrets

__all__ = ["access", "approvals", "channels", "policies", "secrets"]
