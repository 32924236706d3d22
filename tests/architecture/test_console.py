"""Every class that shows rows in the console asks the one decision point."""

from django.contrib import admin

from tests.architecture.source import need


def test_every_page_of_the_console_derives_from_the_guarded_base() -> None:
    need("governance.guard.admin")
    from governance.guard.admin import GuardedAdmin

    unguarded = {
        model._meta.label: type(page).__name__
        for model, page in admin.site._registry.items()
        if not isinstance(page, GuardedAdmin)
    }

    assert admin.site._registry, "the console shows nothing"
    assert unguarded == {}


def test_the_console_is_our_site() -> None:
    assert type(admin.site._wrapped).__name__ == "ConsoleSite"  # type: ignore[attr-defined]  # lazy
