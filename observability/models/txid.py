from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Func
from django.db.models.sql.compiler import SQLCompiler


class CurrentTransaction(Func):
    """The id of the writing transaction; 0 where there is only one writer (SQLite).

    A column default, so that no way of inserting can forget it: COPY, bulk insert or the ORM.
    """

    template = "0"
    arity = 0
    output_field = BigIntegerField()

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, Any]:
        return self.as_sql(
            compiler, connection, template="pg_current_xact_id()::text::bigint", **context
        )
