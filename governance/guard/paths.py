"""How names are written in addresses; anything else there is no address of ours."""

from django.urls import register_converter


class NameConverter:
    """A name of an agent, provider, model or tool."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


def names_register() -> None:
    """Make `<name:…>` known to URL patterns; calling it again changes nothing."""
    from django.urls.converters import get_converters

    if "name" not in get_converters():
        register_converter(NameConverter, "name")
