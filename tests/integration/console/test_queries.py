"""What a page of the console costs."""

from collections import Counter

from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.models import WorkspaceUserPermission
from tests.integration.console.conftest import Browser


def test_a_page_asks_once_for_each_right(browse: Browser) -> None:
    """It lists all there is in the console, and asks for every model whether one may see it."""
    client = browse("operator")
    with CaptureQueriesContext(connection) as asked:
        page = client.get("/admin/agents/run/")

    table = WorkspaceUserPermission._meta.db_table
    rights = Counter(
        query["sql"]
        for query in asked.captured_queries
        if table in query["sql"] and query["sql"].startswith("SELECT 1 ")
    )
    assert page.status_code == 200
    assert rights
    assert {sql: times for sql, times in rights.items() if times > 1} == {}
