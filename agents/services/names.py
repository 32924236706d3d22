"""Names of what a workspace keeps: how they are written, and that each is taken once."""

import re
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from core.errors import InvalidInputError
from governance.errors import NameTakenError

R = TypeVar("R", bound=Model)

NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
MODEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:@+-]{0,98}[A-Za-z0-9])?")


def name_check(name: str, noun: str) -> None:
    """Raise InvalidInputError unless `name` is one an agent, provider or tool may have."""
    if not NAME.fullmatch(name):
        _refuse(noun, name, "1 to 63 lower-case letters, digits, and inner `-` or `_`")


def model_name_check(name: str) -> None:
    """Raise InvalidInputError unless a model may be called so; vendors' own names mostly may."""
    if not MODEL_NAME.fullmatch(name):
        _refuse("model", name, "1 to 100 letters, digits, and inner `.`, `_`, `:`, `@`, `+`, `-`")


def _refuse(noun: str, name: str, form: str) -> None:
    sentence = f"{name[:60]!r} cannot be the name of a {noun}."
    raise InvalidInputError(sentence, remedy=f"Use {form}.", fields={"name": [f"Use {form}."]})


def name_free(rows: QuerySet[Any], name: str, noun: str) -> None:
    """Raise NameTakenError when one of `rows` has the name."""
    if rows.filter(name=name).exists():
        raise NameTakenError(
            f"There is a {noun} {name!r} in this workspace already.", remedy="Use another name."
        )


def named(rows: QuerySet[R], name: str, *, field: str, sentence: str) -> R:
    """Return the one of `rows` that a document refers to by its name.

    Raises:
        InvalidInputError: there is none; `sentence` says so at `field`.
    """
    found = rows.filter(name=name).first()
    if found is None:
        raise InvalidInputError(sentence, remedy="Create it first.", fields={field: [sentence]})
    return found
