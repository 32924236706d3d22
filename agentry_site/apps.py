from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AdminConfig):
    """The console: Django's admin with our site object as the default one."""

    default_site = "agentry_site.console.site.ConsoleSite"


class AgentrySiteConfig(AppConfig):
    """The composition root as an app: its commands, and what is put together once a process."""

    name = "agentry_site"
    verbose_name = "Site"

    def ready(self) -> None:
        """Say where this process gets its sandboxes from; nothing is started before one is."""
        from sandbox.services import join

        join(socket=settings.SANDBOX_SOCKET, workspaces=settings.WORKSPACES_DIR)
