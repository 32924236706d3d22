"""What a cost costs: the page, the API and folding, with usage of many runs on PostgreSQL.

    python -m tests.bench.cost [RUNS]

Every run is an hour, agent, model and person of its own as far as there are so many, which is the
worst that can be summed. Pages are asked in one process, one after the other.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.services import PostgresServer

RUNS = 200_000
DAYS = 30
AGENTS, MODELS, PEOPLE = 20, 6, 25
ROUNDS = 5


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory() as folder, closing_server(Path(folder)) as server:
        os.environ |= {
            "DATABASE_URL": server.create_database("cost"),
            "AGENTRY_DATA_DIR": f"{folder}/data",
            "DJANGO_SETTINGS_MODULE": "agentry_site.settings.base",
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        sys.stdout.write(json.dumps(measured(runs), indent=1) + "\n")


@contextmanager
def closing_server(folder: Path) -> Iterator[PostgresServer]:
    folder.chmod(0o755)  # the server is of another user
    server = PostgresServer(folder / "postgres", is_durable=False)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def measured(runs: int) -> dict[str, Any]:
    from django.db import connection
    from django.test import Client
    from rest_framework.test import APIClient

    from governance.contracts import SYSTEM
    from governance.services.workspaces import workspace_create
    from tests.factories.governance import issue, make_user

    root = make_user("root", is_superuser=True)
    workspace = workspace_create(SYSTEM, name="acme")
    people = [str(root.pk), *(str(make_user(f"person-{n}").pk) for n in range(PEOPLE - 1))]
    _runs(workspace, root, runs)
    rows = _usage(workspace, people, runs)
    folded = _folding(workspace, min(runs, 50_000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    page, api = Client(HTTP_HOST="localhost"), APIClient(HTTP_HOST="localhost")
    page.force_login(root)
    secret = issue(root, workspace=workspace).secret
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return {
        "runs": runs,
        "usage_rows": rows,
        "folding": folded,
        "csv_peak_mib": _peak_mebibytes(lambda: page.get("/admin/cost/cost.csv?period=30d")),
        "milliseconds": {
            f"{name} {period}": _timed(lambda ask=ask, period=period: ask(period))  # type: ignore[misc]
            for name, ask in {
                "page": lambda period: page.get(f"/admin/cost/?period={period}"),
                "part": lambda period: page.get(f"/admin/cost/part/?period={period}"),
                "csv": lambda period: page.get(f"/admin/cost/cost.csv?period={period}"),
                "api": lambda period: api.get(
                    f"/api/v1/workspaces/acme/cost?by=agent,model&period={period}"
                ),
            }.items()
            for period in ("24h", "7d", "30d")
        },
    }


def _peak_mebibytes(ask: Callable[[], Any]) -> float:
    """Return the most that is held while a copy is read piece by piece."""
    tracemalloc.start()
    for _ in ask().streaming_content:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(peak / 2**20, 1)


def _timed(ask: Callable[[], Any]) -> dict[str, float]:
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        answer = ask()
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {answer.content[:300]!r}")
        if answer.streaming:
            b"".join(answer.streaming_content)
        taken.append((time.perf_counter() - begun) * 1000)
    return {"median": round(statistics.median(taken), 1), "worst": round(max(taken[1:]), 1)}


def _runs(workspace: Any, root: Any, count: int) -> None:
    from agents.models import Run, RunSnapshot
    from core import clock
    from core.ids import first_id_at

    models = [
        {"name": f"model-{n}", "vendor_name": f"v-{n}", "provider_id": str(workspace.pk)}
        for n in range(MODELS)
    ]
    snapshot = RunSnapshot.objects.create(
        digest="0" * 64, workspace=workspace, content={"models": models}
    )
    now, dice = clock.now(), random.Random(7)
    for start in range(0, count, 5_000):
        rows = []
        for number in range(start, min(start + 5_000, count)):
            at = now - timedelta(seconds=DAYS * 86_400 * number / count)
            key = first_id_at(at.timestamp())
            key = type(key)(int=key.int | number + 1)
            rows.append(
                Run(
                    id=key, workspace=workspace, agent_name=f"agent-{number % AGENTS}",
                    snapshot=snapshot, root_id=key, state="succeeded", available_at=at,
                    created_at=at, updated_at=at, requested_by=root,
                    cost_usd=Decimal(dice.randrange(1, 10**8)).scaleb(-8),
                )
            )  # fmt: skip
        Run.objects.bulk_create(rows)


def _usage(workspace: Any, people: list[str], count: int) -> int:
    from observability.models import UsageHour
    from observability.selectors.usage import hours_back

    dice = random.Random(11)
    cells = {
        (dice.randrange(DAYS * 24), dice.randrange(AGENTS), dice.randrange(MODELS),
         dice.choice(people)) for _ in range(count)
    }  # fmt: skip
    UsageHour.objects.bulk_create(
        [
            UsageHour(
                workspace_id=workspace.pk, hour=hours_back(hour), agent=f"agent-{agent}",
                model=f"model-{model}", provider="vendor", user=person, calls=3,
                input_tokens=4_000, output_tokens=300, cost_usd=Decimal("0.01234567"),
            )
            for hour, agent, model, person in cells
        ],
        batch_size=5_000,
    )  # fmt: skip
    return len(cells)


def _folding(workspace: Any, count: int) -> dict[str, float]:
    """Fold the answers of as many runs, one each, from the trace."""
    from agents.models import Run
    from agents.selectors.usage import usage_keys
    from observability.models import TraceEvent
    from observability.services import usage_fold

    payload = {
        "step": 1, "model": "v-1", "finish": "stop", "cost_usd": "0.01",
        "usage": {"input_tokens": 100, "output_tokens": 10, "cache_read_tokens": 0},
    }  # fmt: skip
    rows = Run.objects.order_by("-pk").values_list("pk", "created_at")[:count]
    TraceEvent.objects.bulk_create(
        [
            TraceEvent(workspace_id=workspace.pk, run_id=pk, sequence=1, kind="step.model", at=at,
                       payload=payload)
            for pk, at in rows
        ],
        batch_size=5_000,
    )  # fmt: skip
    begun, folded, batches = time.perf_counter(), 0, []
    while True:
        at = time.perf_counter()
        if not (news := usage_fold(workspace.pk, usage_keys)):
            break
        batches.append((time.perf_counter() - at) * 1000)
        folded += news
    return {
        "answers": folded,
        "answers_per_second": round(folded / (time.perf_counter() - begun)),
        "batch_milliseconds_median": round(statistics.median(batches), 1),
    }


if __name__ == "__main__":
    main()
