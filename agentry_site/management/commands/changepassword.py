"""`manage.py changepassword`: in the place of Django's, which tells the audit chain nothing."""

from getpass import getpass, getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import DomainError
from governance.contracts import SYSTEM
from governance.services.users import password_set


class Command(BaseCommand):
    help = "Give a user another password; it is asked for twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", default="", help="Whose; else yours here.")

    def handle(self, *args: Any, **options: Any) -> str:
        username = options["username"] or getuser()
        password = getpass(f"New password of {username}: ")
        if getpass("Once more: ") != password:
            raise CommandError("The two are not the same; nothing was changed.")
        try:
            password_set(SYSTEM, username=username, password=password)
        except DomainError as error:
            raise CommandError(f"{error} {error.remedy}".strip()) from None
        return f"{username} has another password now; the audit chain says so."
