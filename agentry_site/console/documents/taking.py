"""Documents as a file to take away, and reading one that somebody gives."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final
from uuid import UUID

import yaml
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.services.documents import Kind
from agents.services.exporting import documents_export
from core.errors import InvalidInputError
from governance.guard.authentication import actor_of

MAX_CHARACTERS: Final = 1_000_000


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def yaml_of(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return documents as `agentry apply -f` reads them."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, explicit_start=True, sort_keys=False, allow_unicode=True
    )


def yaml_read(text: str) -> list[Any]:
    """Return the documents of a text; an empty one counts for nothing.

    Raises:
        InvalidInputError: It is no YAML, or far too long; the sentence says where.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidInputError(f"At most {MAX_CHARACTERS} characters are read at once.")
    try:
        found = [document for document in yaml.safe_load_all(text) if document is not None]
        written_out = _characters(found, {})
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InvalidInputError(f"This is no YAML: {where}: {problem}.") from error
    except RecursionError as error:
        raise InvalidInputError("This is nested too deep to be read.") from error
    except (ValueError, OverflowError) as error:  # a date or a number that there is not
        sentence = f"This is no YAML: a value is none that can be read: {error}."
        raise InvalidInputError(sentence) from error
    if written_out > MAX_CHARACTERS:
        raise InvalidInputError(
            f"It has more than {MAX_CHARACTERS} characters once its anchors are written out."
        )
    return found


_UNDER_WAY: Final = -1


def _characters(value: Any, known: dict[int, int]) -> int:
    """Count what a value comes to where each use of an anchor is a copy; `known` are counted parts.

    Raises:
        InvalidInputError: A value is part of itself.
    """
    if isinstance(value, str):
        return max(len(value), 1)
    if not isinstance(value, dict | list | tuple):
        return 1
    count = known.get(id(value))
    if count == _UNDER_WAY:
        raise InvalidInputError("An anchor stands for something that holds itself.")
    if count is None:
        known[id(value)] = _UNDER_WAY
        parts = chain.from_iterable(value.items()) if isinstance(value, dict) else value
        count = known[id(value)] = 1 + sum(_characters(part, known) for part in parts)
    return count


def yaml_file(text: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}.yaml"'}
    return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers=headers)


@admin.action(description=_("Export as YAML"), permissions=["export"])
def export_selected(page: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
    """Take the chosen rows away; those of each workspace behind a comment that names it."""
    kind = Kind(page.document_kind)
    chosen: dict[Any, set[UUID]] = defaultdict(set)
    for row in rows.select_related("workspace"):
        chosen[row.workspace].add(row.pk)
    parts = []
    for workspace, only in sorted(chosen.items(), key=lambda item: item[0].name):
        found = documents_export(actor=actor_of(request), workspace=workspace, kind=kind, only=only)
        if found:
            parts.append(f"# workspace {workspace.name}\n{yaml_of(found)}")
    if not parts:
        sentence = gettext("Nothing was exported: what was chosen is not published.")
        page.message_user(request, sentence, messages.WARNING)
        return None
    name = "policies" if kind is Kind.POLICY else f"{kind.value.lower()}s"
    return yaml_file("".join(parts), name)
