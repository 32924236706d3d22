"""The console's list of runs with 100,000 of them: each filter through the real view.

    DATABASE_URL=postgres://… python -m tests.bench.runs_list [TIMES] [PLANS]

Fills the database, which has to be empty, with `tests/bench/runs_filled.py`, or measures one that
was filled before. Each address is asked for once before it is measured; then medians and maxima of
TIMES answers, in milliseconds, as a reader of one workspace and as a superuser of all. The queries
of each answer are explained, as they ran, into the file PLANS.
"""

import os
import sys
from pathlib import Path
from tempfile import mkdtemp

import django

from tests.bench.durable_steps import emit

TIMES = 15


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    os.environ.setdefault("AGENTRY_DATA_DIR", mkdtemp(prefix="agentry-bench-"))
    django.setup()
    from tests.bench.runs_asked import measure

    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    emit(measure(times, file))


if __name__ == "__main__":
    main()
