"""`manage.py secrets rotate-keys`: seal everything anew after AGENTRY_SECRET_KEY was changed."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from governance.services.key_rotation import keys_rotate


class Command(BaseCommand):
    help = "Seal every stored credential anew under the current AGENTRY_SECRET_KEY."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("deed", choices=("rotate-keys",))
        parser.add_argument(
            "--dry-run", action="store_true", help="Count what would be sealed anew, write nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        verb = "to be sealed anew" if options["dry_run"] else "sealed anew"
        broken = 0
        for column in keys_rotate(dry_run=options["dry_run"]):
            self.stdout.write(
                f"{column.label}: {column.resealed} {verb}, {column.current} under the current key."
            )
            for key in column.broken:
                broken += 1
                self.stderr.write(f"{column.label}: {key} does not open.")
        if broken:
            raise CommandError(
                f"{broken} values do not open. Put the key they were sealed with into "
                "AGENTRY_SECRET_KEY_FALLBACKS and run this again, or store them again.",
                returncode=1,
            )
