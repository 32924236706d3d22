"""The admin site as the console."""

from django.contrib import admin


class ConsoleSite(admin.AdminSite):
    site_header = "Agentry Cloud"
    site_title = "Agentry Cloud"
    index_title = "Console"
