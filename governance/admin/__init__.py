"""Admin pages of governance; changes go through the same services as the API."""

from governance.admin import access, approvals, grants, policies

__all__ = ["access", "approvals", "grants", "policies"]
