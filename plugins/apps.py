from django.apps import AppConfig


class PluginsConfig(AppConfig):
    name = "plugins"
    verbose_name = "Plugins"

    def ready(self) -> None:
        from django.conf import settings

        from governance.registry import poster_register
        from governance.services.activity import activity_register
        from plugins.http.posting import SafePoster
        from plugins.models import ToolDefinition

        activity_register(
            ToolDefinition, workspace="workspace_id", exclude=["created_at", "updated_at"]
        )
        poster_register(SafePoster(allow_hosts=lambda: settings.FETCH_ALLOW))
