from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from governance.models.workspace import Workspace


class WorkspaceUserPermission(UserObjectPermissionBase):
    """One permission of one user on one workspace; derived from the roles of a membership.

    guardian's table with a real foreign key in place of its generic text key: lists join on the
    workspace id without a cast, and rows end with their workspace.
    """

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        indexes = [
            models.Index(
                fields=["user", "permission", "content_object"], name="user_permission_lookup"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.permission.codename} {self.content_object}"


class WorkspaceGroupPermission(GroupObjectPermissionBase):
    """One permission of one group on one workspace."""

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        indexes = [
            models.Index(
                fields=["group", "permission", "content_object"], name="group_permission_lookup"
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.permission.codename} {self.content_object}"
