"""Storage of hot tables on PostgreSQL: room on each page, so that a run's updates stay on it."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def leave_room(_: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """A heap-only update needs free space next to the old row; without it, every index is written."""
    if editor.connection.vendor == "postgresql":
        editor.execute("ALTER TABLE agents_run SET (fillfactor = 40)")
        editor.execute("ALTER TABLE plugins_toolcall SET (fillfactor = 60)")


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_relations"), ("plugins", "0001_initial")]

    operations = [migrations.RunPython(leave_room, migrations.RunPython.noop)]
