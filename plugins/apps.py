from django.apps import AppConfig


class PluginsConfig(AppConfig):
    name = "plugins"
    verbose_name = "Plugins"

    def ready(self) -> None:
        from governance.services.activity import activity_register
        from plugins.models import ToolDefinition

        activity_register(
            ToolDefinition, workspace="workspace_id", exclude=["created_at", "updated_at"]
        )
