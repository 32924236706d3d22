"""Access: may they. `can` and `require` decide, `scope` makes lists, the rest is for hot paths.

The only place that reads the permission tables. Everybody else names a `Perm` and asks here.
"""

from governance.access.cache import BriefMemory, PermissionCache, permission_cache
from governance.access.changes import AccessChanged
from governance.access.credentials import (
    TOKEN_PREFIX,
    actor_from_token,
    clear_credentials,
    digest_of,
    forget_credentials,
    peek_actor,
)
from governance.access.decisions import (
    actor_of_user,
    actor_of_user_id,
    can,
    denied,
    may_see_payload,
    payload_workspaces,
    permissions_by_workspace,
    permissions_of,
    permissions_somewhere,
    permitted_workspace_ids,
    require,
    scope,
    sees,
    workspace_missing,
)
from governance.access.grants import grants_follow_roles, grants_remove, perms_of_roles

__all__ = [
    "TOKEN_PREFIX",
    "AccessChanged",
    "BriefMemory",
    "PermissionCache",
    "actor_from_token",
    "actor_of_user",
    "actor_of_user_id",
    "can",
    "clear_credentials",
    "denied",
    "digest_of",
    "forget_credentials",
    "grants_follow_roles",
    "grants_remove",
    "may_see_payload",
    "payload_workspaces",
    "peek_actor",
    "permission_cache",
    "permissions_by_workspace",
    "permissions_of",
    "permissions_somewhere",
    "permitted_workspace_ids",
    "perms_of_roles",
    "require",
    "scope",
    "sees",
    "workspace_missing",
]
