"""What `make demo` needs in its database: an operator, a workspace, a token and a small team."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import yaml
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q

from agents.contracts import RunState
from agents.selectors.runs import run_list_unfinished
from agents.services.apply import apply
from core.errors import NotAuthenticatedError, NotFoundError
from governance.access import actor_from_token, actor_of_user
from governance.contracts import SYSTEM, Actor
from governance.selectors.workspaces import workspace_get
from governance.services.tokens import token_issue
from governance.services.users import user_create
from governance.services.workspaces import workspace_create
from plugins.contracts import WaitKind

if TYPE_CHECKING:
    from governance.models import Workspace

TEAM = Path(settings.BASE_DIR) / "examples" / "demo" / "team.yaml"
WORKSPACE = "demo"
USERNAME = "operator"
QUESTION = "Tell me in one paragraph why work that survives a crash feels calm."


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """How to reach the running demo. Written to a file only its owner can read."""

    url: str
    username: str
    password: str
    token: str
    workspace: str

    def write(self, path: Path) -> None:
        """Write the file with mode 600; it never exists with another one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "url": self.url,
            "username": self.username,
            "password": self.password,
            "token": self.token,
            "workspace": self.workspace,
        }
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        temporary.replace(path)


def demo_prepare(*, url: str, known: Path) -> Demo:
    """Bring the database to where the demo starts; doing it again changes nothing but the url.

    Password and token in the file `known` are kept while they still work.
    """
    before = _known(known)
    actor, password = _operator(before.get("password", ""))
    workspace = _workspace(actor)
    documents = [document for document in yaml.safe_load_all(TEAM.read_text()) if document]
    apply(actor=actor, workspace=workspace, documents=documents)
    token = before.get("token", "")
    if not _is_valid(token):
        token = token_issue(actor, name="demo", workspace=workspace).secret
    return Demo(
        url=url, username=USERNAME, password=password, token=token, workspace=workspace.name
    )


def demo_unfinished() -> UUID | None:
    """Return the newest run that a killed demo left behind and that goes on by itself.

    Paused and yielded runs, and those that wait for a person or a day, are left in peace.
    """
    user = get_user_model().objects.filter(username=USERNAME).first()
    if user is None:
        return None
    runs = run_list_unfinished(actor=actor_of_user(user)).filter(
        Q(state__in=(RunState.QUEUED.value, RunState.RUNNING.value))
        | Q(state=RunState.WAITING.value, wait_kind=WaitKind.CHILDREN.value),
        parent=None,
    )
    newest: UUID | None = runs.values_list("pk", flat=True).first()
    return newest


def _known(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, dict) else {}


def _operator(password: str) -> tuple[Actor, str]:
    users = get_user_model().objects
    user = users.filter(username=USERNAME).first()
    if user is None:
        password = secrets.token_urlsafe(12)
        user = user_create(
            SYSTEM, username=USERNAME, password=password, is_staff=True, is_superuser=True
        )
    elif not password or not user.check_password(password):
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.save(update_fields=["password"])
    return actor_of_user(user), password


def _workspace(actor: Actor) -> "Workspace":
    try:
        return workspace_get(actor, ref=WORKSPACE)
    except NotFoundError:
        return workspace_create(actor, name=WORKSPACE, title="Demo")


def _is_valid(token: str) -> bool:
    if not token:
        return False
    try:
        actor_from_token(token)
    except NotAuthenticatedError:
        return False
    return True
