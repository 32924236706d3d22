"""Asking the console's list of runs for each filter, and PostgreSQL how it went about it."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Run
from governance.models import User
from tests.bench.runs_filled import COMMON_WORD, RARE_WORD, RUNS, fill

LIST = "/admin/agents/run/"
FILTERS = {
    "no filter": "",
    "state, common": "state=succeeded",
    "state, rare": "state=waiting",
    "two states": "state=queued&state=running",
    "agent, busy": "agent=agent-01",
    "agent, idle": "agent=agent-20",
    "workspace": "workspace=acme",
    "user, busy": "user=person1",
    "user, idle": "user=person7",
    "user, none": "user=nobody",
    "cost, high": "cost_min=5",
    "cost, a narrow band": "cost_min=0.1&cost_max=0.101",
    "cost, most": "cost_max=0.3",
    "time, a day": "within=24h",
    "time, long ago": "until={long_ago}",
    "error": "error=tool_failed",
    "error, none": "error=never_seen",
    "by way of, common": "surface=api",
    "by way of, none": "surface=replay",
    "words, rare": f"q={RARE_WORD}",
    "words, common": f"q={COMMON_WORD}",
    "words, both": f"q={COMMON_WORD}+{RARE_WORD}",
    "words, none": "q=unheard",
    "agent by search": "q=agent-20",
    "four at once": "agent=agent-03&state=failed&cost_min=0.2&within=30d",
    "oldest first": "sort=oldest",
    "costliest first": "sort=costliest",
    "costliest of a user": "sort=costliest&user=person7",
    "a page far down": "after={far_down}",
}


def addresses() -> Iterator[tuple[str, str]]:
    """Yield what is measured, with its address."""
    middle = Run.objects.order_by("pk")[RUNS // 2]
    early = Run.objects.order_by("pk")[RUNS // 20]
    filled = {"far_down": str(middle.pk), "long_ago": f"{early.created_at:%Y-%m-%dT%H:%M}"}
    for name, query in FILTERS.items():
        yield name, f"{LIST}?{query.format(**filled)}"
    yield "rows while scrolling", f"{LIST}rows/?after={middle.pk}"


def client_of(user: User) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def milliseconds(client: Client, address: str) -> float:
    begun = time.perf_counter()
    answer = client.get(address)
    taken = (time.perf_counter() - begun) * 1000
    if answer.status_code != 200:
        raise SystemExit(f"{address} answered {answer.status_code}")
    return taken


def plans(client: Client, address: str) -> str:
    """Return how PostgreSQL went about each query on the table of runs."""
    with CaptureQueriesContext(connection) as asked:
        client.get(address)
    found = []
    with transaction.atomic(), connection.cursor() as cursor:
        for query in asked.captured_queries:
            sql = query["sql"]
            if sql.startswith("SET LOCAL"):
                cursor.execute(sql)
            elif "agents_run" in sql and sql.lstrip().startswith(("SELECT", "WITH")):
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql.replace("%", "%%"), [])
                plan = "\n".join("  " + row[0][:300] for row in cursor.fetchall())
                found.append(f"{sql[:1500]}\n{plan}")
    return "\n\n".join(found)


def measure(times: int, file: Path | None) -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    if not Run.objects.exists():
        fill()
    reader = User.objects.get(username="olga")
    owner, _ = User.objects.get_or_create(
        username="root", defaults={"is_staff": True, "is_superuser": True}
    )
    figures: dict[str, Any] = {}
    written = []
    for who, client in (("reader", client_of(reader)), ("superuser", client_of(owner))):
        for name, address in addresses():
            first = milliseconds(client, address)
            taken = [milliseconds(client, address) for _ in range(times)]
            figures[f"{name}, {who}"] = {
                "median_ms": round(statistics.median(taken), 1),
                "max_ms": round(max(taken), 1),
                "first_ms": round(first, 1),
            }
            if file is not None:
                written.append(f"=== {name}, {who}: {address}\n\n{plans(client, address)}")
    if file is not None:
        file.write_text("\n\n".join(written) + "\n", encoding="utf-8")
    return {
        "runs": Run.objects.count(),
        "worst_median_ms": max(cell["median_ms"] for cell in figures.values()),
        "worst_ms": max(cell["max_ms"] for cell in figures.values()),
        "filters": figures,
    }
