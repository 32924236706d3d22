"""`manage.py sandbox doctor|reap`: what this host can hold; taking away what dead owners left."""

import asyncio
import json
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from sandbox.contracts import Abilities
from sandbox.services import Sandboxes


class Command(BaseCommand):
    help = (
        "doctor: say for each engine what it can hold on this host and how strong it is, with "
        "status 1 when none works. reap: take away what sandboxes of dead processes left."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["doctor", "reap"])
        parser.add_argument("--json", action="store_true", help="The same for programs.")

    def handle(self, *args: Any, **options: Any) -> None:
        sandboxes = Sandboxes()
        if options["action"] == "reap":
            self._tell(sandboxes.reap(), "\n".join, as_json=options["json"])
            return
        told = asyncio.run(sandboxes.doctor())
        self._tell(told, lambda found: "\n\n".join(map(_words, found)), as_json=options["json"])
        if not any(abilities.is_available for abilities in told):
            raise SystemExit(1)

    def _tell(self, found: Any, words: Any, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(msgspec.to_builtins(found), indent=2, sort_keys=True))
        else:
            self.stdout.write(words(found))


def _words(abilities: Abilities) -> str:
    if not abilities.is_available:
        return f"{abilities.name}: not available\n  {abilities.problem}\n  {abilities.remedy}"
    lines = [f"{abilities.name}: available, isolates by {abilities.strength}"]
    lines.append(f"  holds: {', '.join(sorted(abilities.holds))}")
    lines += [f"  not {limit}: {why}" for limit, why in sorted(abilities.missing.items())]
    return "\n".join(lines)
