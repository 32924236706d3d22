"""`manage.py snapshots`: what is kept of runs' files on this disk, and collecting what is not."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from agents.execution.collecting import snapshots_collect


class Command(BaseCommand):
    help = "Delete the files of snapshots that no run can be resumed or forked from any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        collect = commands.add_parser("collect", help=self.help)
        collect.add_argument(
            "--grace-hours",
            type=float,
            default=None,
            help="Leave what is younger (at least 1). Default: AGENTRY_SNAPSHOT_GRACE_HOURS.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for one in snapshots_collect(grace_hours=options["grace_hours"]):
            found = one.found
            self.stdout.write(
                f"{one.workspace_id}  deleted {found.trees} snapshots and {found.blobs} contents, "
                f"{found.size_bytes} bytes; kept {found.kept_bytes} bytes"
            )
            for digest in found.gone:
                self.stdout.write(f"  {digest[:12]} is named by a checkpoint and is not there")
            if not found.is_complete:
                self.stdout.write("  Not everything: runs were at work. Do it again.")
