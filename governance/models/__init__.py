"""Rows of governance; one noun a file."""

from governance.models.membership import Membership, Role
from governance.models.token import ApiToken
from governance.models.user import User
from governance.models.workspace import Workspace

__all__ = ["ApiToken", "Membership", "Role", "User", "Workspace"]
