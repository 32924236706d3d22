"""After a change of the site's key everything sealed is sealed anew, also while others write."""

from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import BinaryField

from agents.models import Provider
from agents.services.providers import provider_has_key
from core import pausepoints
from core.sealing import needs_resealing, unseal
from governance.contracts import SYSTEM
from governance.models import AuditEntry, Secret
from governance.registry import sealed_columns
from governance.services.key_rotation import keys_rotate
from governance.services.secrets import PURPOSE, secret_set
from tests.architecture.source import APPS
from tests.factories.agents import make_channel, make_provider, make_secret
from tests.factories.governance import Cast

VALUE = "correct-horse-battery"
KEY = "k" * 20

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(cast: Cast, settings: Any) -> None:
    """Rows sealed under a key that is the fallback now."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the old key", []
    for number in range(5):
        make_secret(cast.acme, f"secret-{number}", f"{VALUE}-{number}")
    make_provider(cast.acme, "vendor", kind="openai", script="", api_key=KEY)
    make_channel(cast.acme, "hook")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key", ["the old key"]


def opened(row: Secret) -> str:
    return unseal(row.sealed_value, workspace_id=row.workspace_id, name=row.name, purpose=PURPOSE)


def left() -> int:
    found = 0
    for column in sealed_columns():
        rows: Any = column.model._base_manager.exclude(**{column.column: None})
        found += sum(
            needs_resealing(
                getattr(row, column.column), workspace_id=row.workspace_id, purpose=column.purpose
            )
            for row in rows
        )
    return found


def counts(**options: Any) -> dict[str, tuple[int, int, int]]:
    return {
        each.label: (each.resealed, each.current, len(each.broken))
        for each in keys_rotate(**options)
    }


def test_every_sealed_column_is_known() -> None:
    found = {
        f"{model._meta.label}.{field.name}"
        for app in APPS
        if apps.is_installed(app)
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        if isinstance(field, BinaryField) and field.name.startswith("sealed")
    }

    assert {column.label for column in sealed_columns()} == found


def test_everything_is_sealed_anew_and_the_old_key_can_go(
    old: None, settings: Any, capsys: Any
) -> None:
    times = list(Secret.objects.values_list("updated_at", "version"))
    assert left() == 7
    call_command("secrets", "rotate-keys", "--dry-run")
    assert left() == 7
    call_command("secrets", "rotate-keys")
    told = capsys.readouterr().out.splitlines()
    settings.SECRET_KEY_FALLBACKS = []

    assert told == [
        "agents.Provider.sealed_key: 1 to be sealed anew, 0 under the current key.",
        "governance.Channel.sealed_secret: 1 to be sealed anew, 0 under the current key.",
        "governance.Secret.sealed_value: 5 to be sealed anew, 0 under the current key.",
        "agents.Provider.sealed_key: 1 sealed anew, 0 under the current key.",
        "governance.Channel.sealed_secret: 1 sealed anew, 0 under the current key.",
        "governance.Secret.sealed_value: 5 sealed anew, 0 under the current key.",
    ]
    assert left() == 0
    assert [opened(row) for row in Secret.objects.all()] == [f"{VALUE}-{n}" for n in range(5)]
    assert provider_has_key(Provider.objects.get(), KEY)
    assert list(Secret.objects.values_list("updated_at", "version")) == times
    assert counts()["governance.Secret.sealed_value"] == (0, 5, 0)
    entries = AuditEntry.objects.filter(subject_kind="site_key")
    assert [entry.payload["values"]["governance.Secret.sealed_value"] for entry in entries] == [5]


def test_a_rotation_that_died_goes_on_where_it_was(old: None) -> None:
    reached = 0

    def die() -> None:
        nonlocal reached
        reached += 1
        if reached == 4:
            raise KeyboardInterrupt

    with pausepoints.at("rotation.before_write", die), pytest.raises(KeyboardInterrupt):
        keys_rotate()
    assert left() == 4
    assert sum(resealed for resealed, _, _ in counts().values()) == 4
    assert left() == 0


def test_a_value_that_is_set_meanwhile_stays(old: None, cast: Cast) -> None:
    others = iter(range(5))

    def write() -> None:
        number = next(others, None)
        if number is not None:
            secret_set(SYSTEM, workspace=cast.acme, name="secret-4", value=f"another-{number}")

    with pausepoints.at("rotation.before_write", write):
        keys_rotate()

    assert left() == 0
    assert opened(Secret.objects.get(name="secret-4")) == "another-4"
    assert opened(Secret.objects.get(name="secret-3")) == f"{VALUE}-3"


def test_what_does_not_open_is_named_and_the_rest_is_done(
    old: None, settings: Any, capsys: Any
) -> None:
    copied, source = Secret.objects.get(name="secret-0"), Secret.objects.get(name="secret-1")
    Secret.objects.filter(pk=copied.pk).update(sealed_value=bytes(source.sealed_value))

    with pytest.raises(CommandError, match="1 values do not open"):
        call_command("secrets", "rotate-keys")

    assert f"{copied.pk} does not open" in capsys.readouterr().err
    assert left() == 1
    assert opened(Secret.objects.get(name="secret-2")) == f"{VALUE}-2"
