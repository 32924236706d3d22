"""The journal's writer on PostgreSQL: which part of a commit is in which module.

`writer` owns the connection and what happens when it breaks, `entries` is the statement that checks
fences and writes, `births` new runs, `waking` what an ending run sets free.
"""

from agents.journal.postgres.writer import PostgresWriter

__all__ = ["PostgresWriter"]
