from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AdminConfig):
    """The console: Django's admin with our site object as the default one."""

    default_site = "agentry_site.console.site.ConsoleSite"


class AgentrySiteConfig(AppConfig):
    """The composition root as an app: its management commands."""

    name = "agentry_site"
    verbose_name = "Site"
