"""What is shown of the environment: never a secret, of an address the host alone."""

from core.env import Environment, Told


def told(**given: str) -> dict[str, Told]:
    return {one.variable.name: one for one in Environment(given).told()}


def test_a_secret_is_set_and_not_shown() -> None:
    one = told(AGENTRY_SECRET_KEY="hush-hush-hush")["AGENTRY_SECRET_KEY"]

    assert (one.is_given, one.value) == (True, "")


def test_an_address_keeps_its_password() -> None:
    one = told(DATABASE_URL="postgres://me:word@db.acme.example:5432/x?y=z")["DATABASE_URL"]

    assert one.value == "postgres://db.acme.example/…"


def test_what_is_plain_is_shown_and_what_is_not_given_is_said() -> None:
    found = told(AGENTRY_ENV="production")

    assert (found["AGENTRY_ENV"].value, found["AGENTRY_ENV"].is_given) == ("production", True)
    assert (found["AGENTRY_LOG_LEVEL"].value, found["AGENTRY_LOG_LEVEL"].is_given) == ("", False)


def test_a_file_is_said_to_be_one() -> None:
    one = told(AGENTRY_SECRET_KEY_FILE="/run/secrets/key")["AGENTRY_SECRET_KEY"]

    assert (one.is_given, one.is_from_file, one.value) == (True, True, "")
