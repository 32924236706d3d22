"""Fills an empty database with runs, and with agents of the names that `series_told` tells.

DATABASE_URL=postgres://… python -m tests.bench.series_rows COUNT
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governance.models import Workspace


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")
    import django

    django.setup()
    from django.core.management import call_command

    from agents.models import Run
    from agents.transitions import LIVE
    from tests.bench.runs_filled import fill

    call_command("migrate", verbosity=0)
    workspace, _ = fill(int(sys.argv[1]))
    # Nothing of them can be driven: the worker that is measured shall not try.
    Run.objects.filter(state__in=LIVE).update(state="paused")
    agents(workspace)


def agents(workspace: "Workspace") -> None:
    """Write agents as no form would let them be named."""
    from agents.models import Agent
    from tests.bench.series_told import AGENTS, name

    longest = Agent._meta.get_field("name").max_length
    names = {name("agent", number).replace("\x00", "")[:longest] for number in range(AGENTS)}
    Agent.objects.bulk_create(
        [Agent(workspace=workspace, name=each) for each in sorted(names)],
        batch_size=500,
        ignore_conflicts=True,  # some are there already
    )


if __name__ == "__main__":
    main()
