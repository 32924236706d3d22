"""Words of the code that people read: names of models and fields, their help, states and kinds.

Their English is the code's own, so they are looked up by it. `word_list` has them for catalogues.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy


def names_told(models: Iterable[type[Model]]) -> None:
    """Let names and help of these models and of their fields be told in the reader's language."""
    for model in models:
        for holder, name in _texts(model):
            if text := getattr(holder, name):
                setattr(holder, name, text if isinstance(text, Promise) else gettext_lazy(text))


def words_of(models: Iterable[type[Model]]) -> set[str]:
    """Return what the names, the help and the choices of these models say in English."""
    found = set()
    for model in models:
        found |= {str(getattr(holder, name)) for holder, name in _texts(model)}
        for field in model._meta.get_fields():
            for value, label in getattr(field, "flatchoices", None) or ():
                found |= {str(value).replace("_", " "), str(label)}
    return {word for word in found if any(letter.isalpha() for letter in word)}


def _texts(model: type[Model]) -> Iterable[tuple[Any, str]]:
    yield model._meta, "verbose_name"
    yield model._meta, "verbose_name_plural"
    for field in model._meta.fields + model._meta.many_to_many:
        yield field, "verbose_name"
        yield field, "help_text"
