"""Commands of the site where its database has not been made yet."""

import pytest
from django.db import DatabaseError, connection

from agentry_site import command_line
from agentry_site.command_line import main


@pytest.mark.django_db
def test_a_table_that_is_missing_is_told_with_what_makes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(arguments: list[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM not_made_yet")

    monkeypatch.setattr(command_line, "execute_from_command_line", asked)

    with pytest.raises(SystemExit) as ended:
        main(["manage.py", "audit", "verify"])

    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert "not_made_yet" in told
    assert "`make migrate`" in told
    assert "AGENTRY_DATA_DIR=.run/demo" in told


@pytest.mark.django_db
def test_other_mistakes_of_the_database_keep_their_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(arguments: list[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELEC 1")

    monkeypatch.setattr(command_line, "execute_from_command_line", asked)

    with pytest.raises(DatabaseError):
        main(["manage.py", "audit", "verify"])
