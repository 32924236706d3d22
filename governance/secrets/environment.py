"""Secrets in the environment of the process: `AGENTRY_SECRET_<VARIABLE>`, where the site names it.

Nothing else of the environment can be reached: the prefix is put in front of whatever is named.
"""

from collections.abc import Callable

from core.env import SECRET_PREFIX, secret_of_environment
from governance.secrets.places import SecretPlace
from governance.secrets.source import unreadable


class EnvironmentSource:
    def __init__(self, look_up: Callable[[str], str | None] = secret_of_environment) -> None:
        self._look_up = look_up

    def read(self, place: SecretPlace) -> str:
        value = self._look_up(place.path)
        if not value:
            raise unreadable(
                place,
                f"{SECRET_PREFIX}{place.path} is not set in this process",
                "Set it for every worker, and restart them.",
            )
        return value
