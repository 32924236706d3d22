"""`manage.py`: Django's commands, and a sentence where the database has not been made yet."""

import sys
from collections.abc import Sequence

from django.core.management import execute_from_command_line
from django.db import DatabaseError

MISSING = (
    "Error: the database has no tables of this version ({told}).\n"
    "Make them with `make migrate`. Where the data is in another folder, such as that of"
    " `make demo`, name it: AGENTRY_DATA_DIR=.run/demo python manage.py …\n"
)


def main(arguments: Sequence[str]) -> None:
    """Run a management command. Ends with status 1 where the tables it needs are missing."""
    try:
        execute_from_command_line(list(arguments))
    except DatabaseError as error:
        told = str(error).partition("\n")[0]
        if not tables_are_missing(error):
            raise
        sys.stderr.write(MISSING.format(told=told))
        raise SystemExit(1) from None


def tables_are_missing(error: DatabaseError) -> bool:
    """Say whether the database refused because a table is not there (SQLite, PostgreSQL)."""
    cause = error.__cause__
    return str(cause).startswith("no such table: ") or getattr(cause, "sqlstate", "") == "42P01"
