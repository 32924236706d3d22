"""The page of import and export. An import is shown as differences before anything is done: the
same service as REST and `agentry apply` goes the very same way and takes it back."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.documents.taking import MAX_CHARACTERS, yaml_file, yaml_of, yaml_read
from agentry_site.console.pages import Page
from agents.services.applied import TRIALS, Change, Difference
from agents.services.apply import apply
from agents.services.documents import Kind
from agents.services.exporting import documents_export
from core.admin import Line, text_difference
from core.errors import DomainError, InvalidInputError
from core.pausepoints import reach
from governance.contracts import Actor, Perm
from governance.guard.admin import may_somewhere
from governance.guard.authentication import actor_of
from governance.selectors.workspaces import workspaces_permitted

_WORDS: Final = {"create": _("is made"), "update": _("changes"), "unchanged": _("stays as it is")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value that differs; a text of several lines by its `lines`."""

    path: str
    before: Any
    after: Any
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What applying would do, and a digest of it: what was seen is done, and nothing else."""

    workspace: str
    text: str
    changes: tuple[Change, ...]
    digest: str

    @property
    def changed(self) -> int:
        return sum(change.action != "unchanged" for change in self.changes)

    @property
    def shown(self) -> list[tuple[Change, Any, list[Row]]]:
        return [
            (change, _WORDS[change.action], [_row(each) for each in change.diff])
            for change in self.changes
        ]


class DocumentsPage(Page):
    name = "documents"

    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("documents/", view(self.page_view), name=self.name),
            path("documents/export/", view(self.export_view), name="documents_export"),
            path("documents/import/", view(self.import_view), name="documents_import"),
        ]

    def may_open(self, request: HttpRequest) -> bool:
        actor = actor_of(request)
        return actor.is_superuser or may_somewhere(request, actor, Perm.WORKSPACE_VIEW)

    def page_view(self, request: HttpRequest) -> HttpResponse:
        return self._page(request)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """All that this person may see in a workspace, as one file."""
        workspace = self._workspace(request, request.GET.get("workspace", ""))
        found = documents_export(actor=actor_of(request), workspace=workspace)
        return yaml_file(yaml_of(found), workspace.name)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show what documents would change; do it when that very thing was agreed to."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        workspace = self._workspace(request, request.POST.get("workspace", ""))
        text, problems = "", []
        try:
            text = _given(request)
            preview = self._preview(request, workspace, text)
            if (agreed := request.POST.get("agreed", "")) == preview.digest:
                reach("documents.before_apply")
                if _done(actor_of(request), workspace, preview):
                    sentence = ngettext(
                        "%(n)s document was applied to %(workspace)s.",
                        "%(n)s documents were applied to %(workspace)s.",
                        preview.changed,
                    )
                    done = sentence % {"n": preview.changed, "workspace": workspace.name}
                    messages.success(request, done)
                    return redirect("admin:documents")
                preview = self._preview(request, workspace, text)
            if agreed:
                changed = gettext("Something changed since it was shown. This is what holds now.")
                problems.append(changed)
            return self._page(request, preview=preview, problems=problems)
        except InvalidInputError as error:
            said = [f"{place}: {each}" for place, found in error.fields.items() for each in found]
            problems += said or [str(error)]
        except DomainError as error:
            problems.append(str(error))
        return self._page(request, problems=problems, text=text, chosen=workspace.name)

    def _preview(self, request: HttpRequest, workspace: Any, text: str) -> Preview:
        documents = yaml_read(text)
        if not documents:
            raise InvalidInputError("There is no document in it.")
        actor = actor_of(request)
        changes = apply(actor=actor, workspace=workspace, documents=documents, dry_run=True)
        return Preview(
            workspace=workspace.name, text=text, changes=tuple(changes), digest=_digest(changes)
        )

    def _workspace(self, request: HttpRequest, name: str) -> Any:
        for row in self._workspaces(request):
            if row.name == name:
                return row
        raise BadRequest("The address names no workspace of yours.")

    def _workspaces(self, request: HttpRequest) -> list[Any]:
        return list(workspaces_permitted(actor_of(request), Perm.WORKSPACE_VIEW))

    def _page(self, request: HttpRequest, **more: Any) -> HttpResponse:
        context = self.context(
            request,
            title=gettext("Import and export"),
            workspaces=self._workspaces(request),
            **more,
        )
        return TemplateResponse(request, "console/documents/page.html", context)


def _done(actor: Actor, workspace: Any, preview: Preview) -> bool:
    """Apply what was shown; where something else would come of it by now, nothing is done."""
    with transaction.atomic():
        changes = apply(actor=actor, workspace=workspace, documents=yaml_read(preview.text))
        is_as_shown = all(map(_is_within, changes, preview.changes))
        if not is_as_shown:
            transaction.set_rollback(True)
    return is_as_shown


def _is_within(done: Change, shown: Change) -> bool:
    """Say whether nothing changed but what was shown to change, from what it was shown to be.

    A dry run shows each sealed value as another one, so what becomes of these is not compared.
    """
    is_trial = Kind(done.kind) in TRIALS

    def told(change: Change) -> set[str]:
        return {
            repr((each.path, each.before, None if is_trial else each.after)) for each in change.diff
        }

    is_new = {change.action == "create" for change in (done, shown)}
    return len(is_new) == 1 and told(done) <= told(shown)


def _row(difference: Difference) -> Row:
    before, after = difference.before, difference.after
    texts = ["" if value is None else value for value in (before, after)]
    is_long = any(isinstance(text, str) and "\n" in text for text in texts)
    lines: tuple[Line, ...] = ()
    if is_long and all(isinstance(text, str) for text in texts):
        lines = text_difference(*texts)
    return Row(path=difference.path, before=_told(before), after=_told(after), lines=lines)


def _told(value: Any) -> Any:
    """Write a value as a document has it; a list as its parts."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(str(_told(each)) for each in value)
    return json.dumps(value, default=str)


def _given(request: HttpRequest) -> str:
    """Return what was pasted, or what is in the file.

    Raises:
        InvalidInputError: The file is no text, or far too long.
    """
    file = request.FILES.get("file")
    if file is None:
        return request.POST.get("text", "").replace("\r\n", "\n")
    if (file.size or 0) > MAX_CHARACTERS:
        raise InvalidInputError(f"At most {MAX_CHARACTERS} bytes are read at once.")
    try:
        return str(file.read(), "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError("The file is no text in UTF-8.") from error


def _digest(changes: Sequence[Change]) -> str:
    plain = json.dumps([asdict(change) for change in changes], default=str, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()
