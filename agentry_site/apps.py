from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.admin.apps import AdminConfig

OURS = ("governance", "observability", "plugins", "agents")


class SiteConfig(AdminConfig):
    """The console: Django's admin with our site object as the default one."""

    default_site = "agentry_site.console.site.ConsoleSite"


class AgentrySiteConfig(AppConfig):
    """The composition root as an app: its commands, and what is put together once a process."""

    name = "agentry_site"
    verbose_name = "Site"

    def ready(self) -> None:
        """Say where this process gets its sandboxes from; nothing is started before one is."""
        from agentry_site.console.words import names_told
        from sandbox.services import join

        names_told(model for app in OURS for model in apps.get_app_config(app).get_models())
        join(socket=settings.SANDBOX_SOCKET, workspaces=settings.WORKSPACES_DIR)
