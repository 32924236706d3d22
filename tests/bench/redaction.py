"""What knowing the secrets of a workspace costs: learning them, being sure of them, redacting.

    python -m tests.bench.redaction

CPU time, so that others on the machine count little. The database is SQLite in a folder of its own.
"""

import json
import secrets
import sys
import time
from collections.abc import Callable

from tests.bench.site import prepare  # isort: skip - sets Django up on a folder of its own

from core.known_values import KnownSecrets
from core.redaction import known_secrets, redact_text
from governance.contracts import SYSTEM
from governance.models import Workspace
from governance.services.known_secrets import forget_learned, secrets_changed, secrets_learn
from governance.services.secrets import secret_set

COUNTS = (1, 20, 200, 1_000)
SIZES = (40, 400, 4_000, 40_000)
PROSE = "The order of the day was to look at each of the boxes, and to say nothing of them. "


def main() -> None:
    prepare("steps: [{text: Done.}]", {})
    found = {}
    for count in COUNTS:
        workspace = Workspace.objects.create(name=f"w-{count}")
        for number in range(count):
            value = secrets.token_urlsafe(30)
            secret_set(SYSTEM, workspace=workspace, name=f"s-{number}", value=value)
        found[count] = _of(workspace)
    sys.stdout.write(f"{json.dumps(found, indent=2)}\n")


def _of(workspace: Workspace) -> dict[str, float]:
    def learn() -> None:
        secrets_learn([workspace.pk])

    def from_nothing() -> None:
        vars(known_secrets).update(vars(KnownSecrets()))
        forget_learned()
        learn()

    def one_changed() -> None:
        secrets_changed(workspace.pk)
        learn()

    figures = {
        "learned_ms": _seconds(from_nothing, 3) * 1e3,
        "changed_ms": _seconds(one_changed, 10) * 1e3,
        "sure_ms": _seconds(learn, 200) * 1e3,
    }
    for size in SIZES:
        text = (PROSE * (size // len(PROSE) + 1))[:size]
        figures[f"redact_{size}_us"] = _seconds(lambda: redact_text(text), 50) * 1e6  # noqa: B023
    return {name: round(value, 3) for name, value in figures.items()}


def _seconds(work: Callable[[], object], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


if __name__ == "__main__":
    main()
