"""A compiled catalogue of every text that is marked, as GNU msgfmt would write it."""

import ast
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from django.contrib import admin
from django.utils.translation.template import templatize

_SERVER = ("agentry_site", "agents", "core", "governance", "observability", "plugins")
_FORMS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "ngettext": 2}
_WORDS = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_IN_TEMPLATES = re.compile(rf"(?:\b(?:gettext|ngettext)|_)\({_WORDS}(?:, {_WORDS}, count)?\)")
_HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"

Text = tuple[str, ...]  # one form, or the singular and the plural


def texts_marked(root: Path) -> set[Text]:
    """Return the texts that templates and Python mark for translation, here and in the admin."""
    found: set[Text] = set()
    ours = (root / name for name in ("templates", *_SERVER))
    for folder in (*ours, Path(admin.__file__).parent):
        for path in folder.rglob("*.html"):
            found |= set(_of_template(path.read_text(encoding="utf-8")))
        for path in folder.rglob("*.py"):
            found |= set(_of_python(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def catalogue(texts: Iterable[Text], translated: Callable[[str], str]) -> bytes:
    """Return a `.mo` file in which each form of each text is `translated`."""
    entries = {"": _HEADER}
    for forms in texts:
        entries["\0".join(forms)] = "\0".join(translated(form) for form in forms)
    rows = sorted((key.encode(), value.encode()) for key, value in entries.items())
    at = 28 + 16 * len(rows)
    index, data = b"", b""
    for column in (0, 1):
        for row in rows:
            index += struct.pack("<II", len(row[column]), at + len(data))
            data += row[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(rows), 28, 28 + 8 * len(rows), 0, 0)
    return head + index + data


def _of_template(source: str) -> Iterator[Text]:
    for found in _IN_TEMPLATES.finditer(templatize(source)):
        yield tuple(ast.literal_eval(form) for form in found.groups() if form)


def _of_python(tree: ast.AST) -> Iterator[Text]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            forms = call.args[: _FORMS.get(call.func.id, 0)]
            texts = [form.value for form in forms if isinstance(form, ast.Constant)]
            if texts and len(texts) == len(forms):
                yield tuple(str(text) for text in texts)
