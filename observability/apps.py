from django.apps import AppConfig

from core import events


class ObservabilityConfig(AppConfig):
    name = "observability"
    verbose_name = "Observability"

    def ready(self) -> None:
        # Models are importable only now.
        from governance.access import AccessChanged
        from observability.live.viewer import access_changed

        events.subscribe(AccessChanged, access_changed)
