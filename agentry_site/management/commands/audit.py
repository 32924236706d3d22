"""`manage.py audit`: check the audit chains where they are kept, sign them, take them away.

The chains are checked by the very verifier people install, so that the site has no opinion of its
own about what holds.
"""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentry.audit.documents import PublicKeys
from agentry.audit.verifying import BrokenError, verify
from core.errors import DomainError
from core.signing import signing_public_key
from governance.contracts import SYSTEM
from governance.selectors.audit import chains
from governance.selectors.workspaces import workspace_by_name
from governance.services.audit_exports import audit_checkpoint, audit_export, audit_lines


class Command(BaseCommand):
    help = "Check, sign or export the audit chains; without --workspace and --site: all of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("deed", choices=("verify", "checkpoint", "export", "key"))
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--workspace", help="Only this workspace's chain.")
        which.add_argument("--site", action="store_true", help="Only the site's own chain.")
        parser.add_argument(
            "--key", action="append", default=[], help="A file with an earlier public key (PEM)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["deed"] == "key":
            self.stdout.write(signing_public_key().rstrip())
            return
        chosen = self._chosen(options)
        if options["deed"] == "verify":
            self._verify(chosen, options["key"])
        elif options["deed"] == "checkpoint":
            self._sign(chosen)
        else:
            self._export(chosen)

    def _chosen(self, options: dict[str, Any]) -> list[Any]:
        if options["site"]:
            return [None]
        if not options["workspace"]:
            return chains()
        workspace = workspace_by_name(options["workspace"])
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        return [workspace]

    def _verify(self, chosen: list[Any], key_files: list[str]) -> None:
        earlier = []
        for name in key_files:
            with open(name, "rb") as file:  # noqa: PTH123
                earlier.append(file.read())
        keys = PublicKeys([signing_public_key().encode(), *earlier])
        broken = 0
        for workspace in chosen:
            place = "site" if workspace is None else workspace.name
            try:
                report = verify(audit_lines(workspace), keys)
            except BrokenError as error:
                broken += 1
                self.stderr.write(f"{place}: Broken at entry {error.sequence}: {error.what}.")
            else:
                self.stdout.write(
                    f"{place}: {report.entries} entries hold; signed up to {report.signed}."
                )
        if broken:
            raise CommandError(
                f"{broken} of {len(chosen)} chains are broken. Keep the database as it is.",
                returncode=1,
            )

    def _sign(self, chosen: list[Any]) -> None:
        for workspace in chosen:
            place = "site" if workspace is None else workspace.name
            try:
                signed = audit_checkpoint(SYSTEM, workspace=workspace)
            except DomainError as error:
                raise CommandError(f"{place}: {error}") from error
            self.stdout.write(f"{place}: signed up to {signed.sequence}.")

    def _export(self, chosen: list[Any]) -> None:
        if len(chosen) != 1:
            raise CommandError("A file holds one chain: name it with --workspace or --site.")
        for line in audit_export(SYSTEM, workspace=chosen[0]):
            sys.stdout.buffer.write(line)
