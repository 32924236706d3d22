"""Finding runs by words of what they were asked and what they answered.

On PostgreSQL an index holds the words of runs that have ended: it is written once a run, and no
step pays for it. Runs under way are few and are read. Other databases read the texts of all runs.

A word is letters and digits, in any case, and matches the beginning of a word; all words must be
there. The first `CHARACTERS` of input and of output count.
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from agents.models import Run
from agents.transitions import LIVE

CHARACTERS: Final = 2_000
MAX_WORDS: Final = 8
MANY: Final = 2_000  # of a commoner word, so many of the newest runs are found
_WINDOWS: Final = (5_000, 20_000, 80_000)  # how many of the newest runs are looked through
_ENDED: Final = "state IN ('succeeded', 'failed', 'cancelled')"


def _texts() -> str:
    """The texts, with spaces for the marks that PostgreSQL would take for a part of a word."""
    texts = f"left(input, {CHARACTERS}) || ' ' || left(output, {CHARACTERS})"
    for mark in "/.@-+:<&_~":
        texts = f"replace({texts}, '{mark}', ' ')"
    return texts


_WORDS: Final = f"to_tsvector('simple', {_texts()})"
INDEX: Final = (
    f"CREATE INDEX run_words ON agents_run USING gin (({_WORDS})) "
    f"WITH (gin_pending_list_limit = 512) WHERE {_ENDED}"
)
# Materialized: asked for a few rows, PostgreSQL might rather read the table until it has them.
_HITS: Final = f"""
WITH hits AS MATERIALIZED (
  SELECT id FROM agents_run WHERE {_ENDED} AND {_WORDS} @@ to_tsquery('simple', %(words)s)
  AND workspace_id = ANY(%(workspaces)s) AND id >= %(first)s
) SELECT id FROM hits {{order}} LIMIT %(most)s
"""  # noqa: S608 - constants of this module
_SOME_HITS: Final = _HITS.format(order="")
_NEWEST_HITS: Final = _HITS.format(order="ORDER BY id DESC")
# Taking a text apart costs many times what PostgreSQL reckons; told so, it looks into the index of
# words, whatever it expects to find there. The rest is dearer than what it saves on a few rows.
_PLANS: Final = (
    "SET LOCAL cpu_operator_cost = {}; SET LOCAL jit = {}; "
    "SET LOCAL max_parallel_workers_per_gather = {}"
)
_NTH_NEWEST: Final = "SELECT id FROM agents_run ORDER BY id DESC OFFSET %s LIMIT 1"
_BEGINNING: Final = UUID(int=0)


def words_of(text: str) -> tuple[str, ...]:
    """Return the words a search asks for, in small letters, each once."""
    return tuple(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))[:MAX_WORDS]


def runs_with_words(
    runs: QuerySet[Run], words: Sequence[str], workspaces: Sequence[UUID]
) -> tuple[QuerySet[Run], bool]:
    """Narrow to runs of these workspaces whose texts hold all the words; none without words.

    The caller has seen to it that texts of these workspaces may be read. True when so many runs
    hold the words that only the newest of them are here.
    """
    if not words or not workspaces:
        return runs.none(), False
    readable = runs.filter(workspace_id__in=workspaces)
    if connection.vendor != "postgresql":
        return readable.filter(_all_in_text(words)), False
    ended, is_bounded = _ended_with(words, workspaces)
    live = Run.objects.filter(
        _all_in_text(words), state__in=LIVE, workspace_id__in=workspaces
    ).values_list("pk", flat=True)
    return readable.filter(pk__in=[*ended, *live]), is_bounded


def _all_in_text(words: Sequence[str]) -> Q:
    found = Q()
    for word in words:
        found &= Q(input__icontains=word) | Q(output__icontains=word)
    return found


def _ended_with(words: Sequence[str], workspaces: Sequence[UUID]) -> tuple[list[UUID], bool]:
    """Return the ids of ended runs with these words: all, or the newest where there are many."""
    asked: dict[str, Any] = {
        "words": " & ".join(f"{word}:*" for word in words),
        "workspaces": list(workspaces),
        "most": MANY + 1,
    }
    near, *far = _WINDOWS
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PLANS.format("0.05", "off", "0"))
        found = _hits(cursor, _NEWEST_HITS, asked, newest=near)
        if len(found) <= MANY:
            found = _hits(cursor, _SOME_HITS, asked, newest=None)
            for newest in (*far, None) if len(found) > MANY else ():
                found = _hits(cursor, _NEWEST_HITS, asked, newest=newest)
                if len(found) > MANY:
                    break
        cursor.execute(_PLANS.format("DEFAULT", "DEFAULT", "DEFAULT"))
    return found[:MANY], len(found) > MANY


def _hits(cursor: Any, query: str, asked: dict[str, Any], *, newest: int | None) -> list[UUID]:
    """Look through so many of the newest runs of the site, or through all."""
    first = _BEGINNING
    if newest is not None:
        cursor.execute(_NTH_NEWEST, [newest])
        row = cursor.fetchone()
        first = _BEGINNING if row is None else row[0]
    cursor.execute(query, asked | {"first": first})
    return [row[0] for row in cursor.fetchall()]
