"""Storage on PostgreSQL: room on each page of hot tables, and the words of runs that have ended."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from agents.selectors.run_words import INDEX


def leave_room(_: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """A heap-only update needs free space next to the old row; without it, every index is written."""
    if editor.connection.vendor == "postgresql":
        editor.execute("ALTER TABLE agents_run SET (fillfactor = 40)")
        editor.execute("ALTER TABLE plugins_toolcall SET (fillfactor = 60)")


def find_words(_: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Of ended runs only, so that a run's words are written to the index once, at its end."""
    if editor.connection.vendor == "postgresql":
        editor.execute(INDEX)


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_relations"), ("plugins", "0001_initial")]

    operations = [
        migrations.RunPython(leave_room, migrations.RunPython.noop),
        migrations.RunPython(find_words, migrations.RunPython.noop),
    ]
