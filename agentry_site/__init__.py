"""Composition root. Imports every app; nobody imports it."""

from agentry_site.celery import app as celery_app

__all__ = ["celery_app"]
