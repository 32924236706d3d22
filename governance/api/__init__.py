"""REST resources of governance: me, workspaces, members, roles, tokens, activity, users."""
