"""`manage.py createsuperuser`: in the place of Django's, which tells the audit chain nothing."""

import sys
from getpass import getpass, getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import DomainError
from governance.contracts import SYSTEM
from governance.services.users import user_create


class Command(BaseCommand):
    help = "Make a user who may do everything; the password is asked for twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="", help="Else that of your account here.")
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="Ask nothing: the password is the first line of standard input.",
        )

    def handle(self, *args: Any, **options: Any) -> str:
        username = options["username"] or getuser()
        is_given = options["password_stdin"]
        password = sys.stdin.readline().rstrip("\n") if is_given else _typed(username)
        if not password:
            raise CommandError("There is no password: the first line is empty.")
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
    try:
        password, again = getpass(f"Password of {username}: "), getpass("Once more: ")
    except EOFError:
        raise CommandError(
            "There is nobody to ask for a password. Send it as the first line of standard input,"
            " with --password-stdin."
        ) from None
    if again != password:
        raise CommandError("The two are not the same; nobody was made.")
    return password
