"""What a page of the console costs."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance.models import WorkspaceUserPermission
from tests.integration.console.conftest import Browser


def test_a_page_asks_once_for_all_rights(browse: Browser) -> None:
    """It lists all there is in the console, and asks for every model whether one may see it."""
    client = browse("operator")
    with CaptureQueriesContext(connection) as asked:
        page = client.get("/admin/agents/run/")

    table = WorkspaceUserPermission._meta.db_table
    rights = [query["sql"] for query in asked.captured_queries if f'FROM "{table}"' in query["sql"]]
    whole = [sql for sql in rights if "UNION" in sql]
    assert page.status_code == 200
    assert len(whole) == 1
    assert [sql for sql in rights if sql.startswith("SELECT 1 ")] == []
