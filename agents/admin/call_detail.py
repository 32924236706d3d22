"""All that is known of one tool call: arguments, result, what an approver or the call changed."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import Any, Final

import msgspec
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from agents.admin.bounded import bounded
from agents.models import Checkpoint, Run
from agents.services.files import file_read
from core.admin import Line, difference_line, pretty_json, text_difference
from core.errors import DomainError, NotFoundError
from governance.selectors.approvals import edit_of
from plugins.selectors import call_is_unprotected

MAX_COMPARED_CHARACTERS: Final = 200_000
MAX_LINES: Final = 1_500
_MAX_PATH: Final = 1_000
_IMAGE: Final = re.compile(r"\.(png|jpe?g|gif|webp)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a call does to a file, as lines; `note` says what they are compared with."""

    path: str
    note: str
    lines: tuple[Line, ...]
    is_cut: bool = False


def call_values(row: Any) -> dict[str, Any]:
    """Return what pointers into a call go through."""
    return {"arguments": row.arguments, "result": row.result}


def call_detail(run: Run, row: Any) -> dict[str, Any]:
    """Return a call for its page; the caller has checked that payloads may be seen."""
    small = bounded({"arguments": row.arguments, "result": _result(row.result)})
    changes = changes_of(run, row)
    return {
        "id": str(row.pk),
        "tool": row.tool,
        "state": row.state,
        "effect": row.effect,
        "attempt": row.attempt,
        "position": row.position,
        "is_error": row.is_error,
        "is_unprotected": call_is_unprotected(row),
        "reason": row.reason,
        **small.value,
        "cut": dict(small.cut),
        "edit": _edit(run, row),
        "changes": [_change(change) for change in changes],
        "images": _images(run, row),
        "url": reverse("admin:plugins_toolcall_change", args=[row.pk]),
    }


def changes_of(run: Run, row: Any) -> tuple[Change, ...]:
    """Return the differences a writing tool was asked to make; none for other tools."""
    made = _CHANGES.get(row.tool)
    given = row.arguments
    if made is None or not isinstance(given, dict):
        return ()
    return tuple(made(run, row, given))


def _result(text: str) -> Any:
    """Return a result as JSON where it is an object or a list, else as the text it is."""
    if text[:1] not in {"{", "["}:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _edit(run: Run, row: Any) -> dict[str, Any] | None:
    edit = edit_of(run.workspace_id, row.tool, row.pk)
    if edit is None:
        return None
    lines = text_difference(pretty_json(edit.before), pretty_json(edit.after))
    return {
        "by": edit.by,
        "at": edit.at.isoformat() if edit.at else None,
        "lines": [_line(line) for line in lines[:MAX_LINES]],
        "url": reverse("admin:governance_approval_change", args=[edit.id]),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "note": change.note,
        "lines": [_line(line) for line in change.lines],
        "is_cut": change.is_cut,
    }


def _line(line: Line) -> tuple[str, str, str]:
    return line.sign, line.kind, line.text


def _images(run: Run, row: Any) -> list[dict[str, str]]:
    """Return the pictures a call names, as they were at the first checkpoint after it."""
    given = row.arguments if isinstance(row.arguments, dict) else {}
    paths = [
        normpath(value)
        for value in given.values()
        if isinstance(value, str) and len(value) < _MAX_PATH and _IMAGE.search(value)
    ]
    if not paths:
        return []
    after = Checkpoint.objects.filter(run=run, message_count__gt=row.position + 1)
    point = after.exclude(workspace_digest="").order_by("sequence").first()
    if point is None:
        return []
    url = reverse("admin:agents_run_file", args=[run.pk, point.sequence])
    return [{"path": path, "url": f"{url}?{urlencode({'path': path})}"} for path in paths[:4]]


# --- what tools that write change ----------------------------------------------------------------


def _written(run: Run, row: Any, given: Mapping[str, Any]) -> Iterable[Change]:
    path, content = str(given.get("path", "")), str(given.get("content", ""))
    before, note = _before(run, row, path)
    yield _difference(path, before, content, note)


def _edited(run: Run, row: Any, given: Mapping[str, Any]) -> Iterable[Change]:
    before, after = str(given.get("old_string", "")), str(given.get("new_string", ""))
    note = (
        gettext("every place where it stands")
        if given.get("replace_all")
        else gettext("the place it names")
    )
    yield _difference(str(given.get("path", "")), before, after, note)


def _replaced(run: Run, row: Any, given: Mapping[str, Any]) -> Iterable[Change]:
    before, after = str(given.get("search", "")), str(given.get("replace", ""))
    note = (
        gettext("a regular expression")
        if given.get("regex")
        else gettext("every place where it stands")
    )
    yield _difference(str(given.get("path", ".")), before, after, note)


def _inserted(run: Run, row: Any, given: Mapping[str, Any]) -> Iterable[Change]:
    note = gettext("after line %(insert_line)s") % {"insert_line": given.get("insert_line", 0)}
    yield _difference(str(given.get("path", "")), "", str(given.get("content", "")), note)


def _patched(run: Run, row: Any, given: Mapping[str, Any]) -> Iterable[Change]:
    """Cut a unified diff into its files; it is shown as it was sent, fitting or not."""
    lines = str(given.get("patch", ""))[:MAX_COMPARED_CHARACTERS].splitlines()
    starts = [
        number
        for number, line in enumerate(lines[:-1])
        if line.startswith("--- ") and lines[number + 1].startswith("+++ ")
    ]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        old, new = (lines[start + offset][4:].split("\t")[0].strip() for offset in (0, 1))
        path = old if new == "/dev/null" else new
        body = lines[start + 2 : end]
        yield Change(
            path=path.removeprefix("a/").removeprefix("b/"),
            note=gettext("as the patch says"),
            lines=tuple(difference_line(line) for line in body[:MAX_LINES]),
            is_cut=len(body) > MAX_LINES,
        )


_CHANGES: Final[Mapping[str, Callable[[Run, Any, Mapping[str, Any]], Iterable[Change]]]] = {
    "write": _written,
    "edit": _edited,
    "search_replace": _replaced,
    "insert": _inserted,
    "patch": _patched,
}


def _before(run: Run, row: Any, path: str) -> tuple[str, str]:
    """Return what a file held before the turn that wrote it, and the words for that."""
    points = Checkpoint.objects.filter(run=run, message_count__lte=row.position + 1)
    point = points.exclude(workspace_digest="").order_by("-sequence").first()
    if point is None:
        return "", gettext("the whole file; what it held before is not known")
    try:
        name = normpath(path)
        data = file_read(run.workspace_id, point, name, max_bytes=MAX_COMPARED_CHARACTERS)
    except NotFoundError:
        return "", gettext("a new file since checkpoint %(sequence)s") % {
            "sequence": point.sequence
        }
    except DomainError as error:
        return "", gettext("the whole file: %(message)s") % {"message": error.message}
    return data.decode(errors="replace"), gettext("compared with checkpoint %(sequence)s") % {
        "sequence": point.sequence
    }


def _difference(path: str, before: str, after: str, note: str) -> Change:
    is_cut = max(len(before), len(after)) > MAX_COMPARED_CHARACTERS
    lines = text_difference(before[:MAX_COMPARED_CHARACTERS], after[:MAX_COMPARED_CHARACTERS])
    return Change(
        path=path, note=note, lines=lines[:MAX_LINES], is_cut=is_cut or len(lines) > MAX_LINES
    )
