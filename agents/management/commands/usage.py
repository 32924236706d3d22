"""`manage.py usage`: sum what models have used, now or from the beginning."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.selectors.usage import usage_keys
from core.errors import DomainError
from governance.selectors.workspaces import workspace_by_name, workspace_ids
from observability.services import usage_fold_all, usage_rebuild


class Command(BaseCommand):
    help = "Sum what models have used by the hour; beat does so every ten seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        commands.add_parser("fold", help="Add what was not added yet.")
        rebuild = commands.add_parser(
            "rebuild", help="Throw the sums away and make them from the trace, as after a restore."
        )
        rebuild.add_argument("--workspace", help="Only this one.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["command"] == "fold":
            self.stdout.write(f"Added {usage_fold_all(usage_keys, seconds=3_600)} answers.")
            return
        name = options["workspace"]
        found = workspace_by_name(name) if name else None
        if name and found is None:
            raise CommandError(f"There is no workspace {name!r}.")
        for workspace_id in [found.pk] if found else workspace_ids():
            try:
                folded = usage_rebuild(workspace_id, usage_keys)
            except DomainError as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"{workspace_id}  summed {folded} answers anew")
