"""`manage.py createsuperuser`: in the place of Django's, which tells the audit chain nothing."""

import os
from getpass import getpass, getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import DomainError
from governance.contracts import SYSTEM
from governance.services.users import user_create

_PASSWORD = "DJANGO_SUPERUSER_PASSWORD"  # noqa: S105  # the name of a variable, as Django has it


class Command(BaseCommand):
    help = "Make a user who may do everything; the password is asked for twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="", help="Else that of your account here.")
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help=f"Ask nothing: the password stands in {_PASSWORD}.",
        )

    def handle(self, *args: Any, **options: Any) -> str:
        username = options["username"] or getuser()
        password = _typed(username) if options["interactive"] else os.environ.get(_PASSWORD, "")
        if not password:
            raise CommandError(f"There is no password: set {_PASSWORD}, or leave --noinput out.")
        try:
            user_create(
                SYSTEM,
                username=username,
                email=options["email"],
                password=password,
                is_superuser=True,
            )
        except DomainError as error:
            raise CommandError(f"{error} {error.remedy}".strip()) from None
        return f"{username} may do everything now; the audit chain says so."


def _typed(username: str) -> str:
    password = getpass(f"Password of {username}: ")
    if getpass("Once more: ") != password:
        raise CommandError("The two are not the same; nobody was made.")
    return password
