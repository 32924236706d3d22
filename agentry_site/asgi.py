"""The entry point of ASGI servers."""

import os
from typing import TYPE_CHECKING

from django.core.asgi import get_asgi_application

if TYPE_CHECKING:
    from agentry_site.process import Site


def _site() -> "Site":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    django = get_asgi_application()
    # Importable only now that the applications are loaded.
    from agentry_site.process import Site

    return Site(django)


application = _site()
