"""Applying documents: making a workspace hold what files say, all of it or nothing.

Applying the same documents twice changes nothing the second time. What a document leaves out is
set to its default, except keys, which are kept: they are not in files. A dry run goes the very same
way and is rolled back at its end.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import transaction

from agents.models import Agent
from agents.services.agents import agent_create, agent_update
from agents.services.applied import APPLIERS, TRIALS, Applied, Change, diff_of
from agents.services.documents import SEEING, Document, Findings, Kind, documents_read
from agents.services.versions import version_draft_save, version_publish
from agents.spec import AgentSpec, spec_parse
from core.errors import DomainError, PermissionDeniedError
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as
from governance.services.workspaces import workspace_lock

if TYPE_CHECKING:
    from governance.models import Workspace


def apply(
    *,
    actor: Actor,
    workspace: "Workspace",
    documents: Sequence[Mapping[str, Any]],
    dry_run: bool = False,
) -> list[Change]:
    """Apply documents of all kinds in one transaction; an agent's new specification is published.

    Returns:
        One change for each document, in the order they were sent.

    Raises:
        InvalidInputError: with every mistake of every document, by `documents.<index>.<place>`.
        PermissionDeniedError: the actor may not change one of the kinds; nothing was applied.
    """
    access.require(actor, Perm.WORKSPACE_VIEW, workspace)
    findings = Findings()
    read = documents_read(documents, findings)
    changes: dict[int, Change] = {}
    with recorded_as(actor), transaction.atomic():
        workspace_lock(workspace.pk)
        batch = _Batch(actor, workspace, findings, dry_run=dry_run)
        for document in read:
            if document.kind is not Kind.AGENT:
                batch.keep(document, changes)
        agents = [document for document in read if document.kind is Kind.AGENT]
        for document in agents:  # all names first: agents delegate to one another
            batch.keep_name(document, changes)
        for document in agents:
            batch.keep_spec(document, changes)
        findings.refuse()
        if dry_run:
            transaction.set_rollback(True)
    return [changes[index] for index in sorted(changes)]


class _Batch:
    """One application; every document in a savepoint, so that all mistakes are found at once."""

    def __init__(
        self, actor: Actor, workspace: "Workspace", findings: Findings, *, dry_run: bool
    ) -> None:
        self._appliers = {**APPLIERS, **TRIALS} if dry_run else APPLIERS
        self._actor = actor
        self._workspace = workspace
        self._findings = findings

    def keep(self, document: Document, changes: dict[int, Change]) -> None:
        if self._depends_on_failed(document, ("provider", "model", "fallback")):
            return
        self._require_sight(document)
        applier = self._appliers[document.kind]
        try:
            with transaction.atomic():
                applied = applier(self._actor, self._workspace, document)
        except PermissionDeniedError:
            raise
        except DomainError as error:
            self._findings.add(document, error)
        else:
            changes[document.index] = _change(document, applied)

    def _require_sight(self, document: Document) -> None:
        """The answer tells what was there."""
        if (seeing := SEEING.get(document.kind)) is not None:
            access.require(self._actor, seeing, self._workspace)

    def keep_name(self, document: Document, changes: dict[int, Change]) -> None:
        self._require_sight(document)
        try:
            with transaction.atomic():
                applied = self._named(document)
        except PermissionDeniedError:
            raise
        except DomainError as error:
            self._findings.add(document, error, below="metadata")
        else:
            changes[document.index] = _change(document, applied)

    def _named(self, document: Document) -> Applied:
        row = Agent.objects.filter(workspace=self._workspace, name=document.name).first()
        if row is None:
            agent_create(
                actor=self._actor,
                workspace=self._workspace,
                name=document.name,
                description=document.description or "",
            )
            after = {"description": document.description} if document.description else {}
            return Applied(before=None, after=after)
        access.require(self._actor, Perm.AGENT_EDIT, self._workspace)
        before = {"description": row.description}
        wanted = row.description if document.description is None else document.description
        if wanted != row.description:
            agent_update(actor=self._actor, agent=row, description=wanted)
        return Applied(before=before, after={"description": wanted})

    def keep_spec(self, document: Document, changes: dict[int, Change]) -> None:
        row = (
            Agent.objects.select_related("published")
            .filter(workspace=self._workspace, name=document.name)
            .first()
        )
        if row is None or document.index not in changes:
            return
        try:
            with transaction.atomic():
                applied = self._published(row, document)
        except PermissionDeniedError:
            raise
        except DomainError as error:
            if not self._names_failed(document, error):
                self._findings.add(document, error)
        else:
            changes[document.index] = _joined(changes[document.index], applied)

    def _published(self, agent: Agent, document: Document) -> Applied:
        wanted = spec_parse(document.spec)
        before = None if agent.published is None else spec_parse(agent.published.spec)
        if before is None or before.digest() != wanted.digest():
            draft = version_draft_save(actor=self._actor, agent=agent, spec=document.spec)
            version_publish(actor=self._actor, agent=agent, number=draft.number)
        return Applied(before=_plain(before), after=_plain(wanted) or {})

    def _depends_on_failed(self, document: Document, members: Sequence[str]) -> bool:
        """Say whether the document only fails because another one did, which is said already."""
        named = [document.spec.get(member) for member in members]
        failed = {name for _, name in self._findings.failed}
        if not any(isinstance(name, str) and name in failed for name in named):
            return False
        self._findings.failed.add((document.kind, document.name))
        return True

    def _names_failed(self, document: Document, error: DomainError) -> bool:
        """Say whether everything the agent's specification lacks was refused in this batch."""
        failed = {name for _, name in self._findings.failed}
        if not failed or not set(error.fields) <= {"tools", "model", "delegates"}:
            return False
        said = [sentence for sentences in error.fields.values() for sentence in sentences]
        return bool(said) and all(any(repr(name) in each for name in failed) for each in said)


def _plain(spec: AgentSpec | None) -> dict[str, Any] | None:
    return None if spec is None else {"spec": spec.model_dump(mode="json", exclude_defaults=True)}


def _change(document: Document, applied: Applied) -> Change:
    diff = diff_of(applied.before or {}, applied.after)
    action = "create" if applied.before is None else "update" if diff else "unchanged"
    return Change(kind=document.kind.value, name=document.name, action=action, diff=diff)


def _joined(named: Change, applied: Applied) -> Change:
    diff = (*named.diff, *diff_of(applied.before or {}, applied.after))
    action = named.action if named.action == "create" else "update" if diff else "unchanged"
    return Change(kind=named.kind, name=named.name, action=action, diff=diff)
