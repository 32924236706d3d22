"""What is typed wrongly into the environment is said with the variable's name, never its secret."""

import os
import subprocess
import sys

import pytest

from core.env import ConfigurationError, Environment, environment_of_child


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENTRY_WORKER_CAPACITY", "-1"),
        ("AGENTRY_LEASE_SECONDS", "-0.5"),
        ("AGENTRY_LEASE_SECONDS", "nan"),
        ("AGENTRY_LEASE_SECONDS", "inf"),
    ],
)
def test_no_amount_is_less_than_nothing_or_without_end(name: str, value: str) -> None:
    env = Environment({name: value})
    with pytest.raises(ConfigurationError, match=name):
        (env.integer if value == "-1" else env.number)(name)


def test_nothing_is_an_amount() -> None:
    env = Environment({"AGENTRY_WORKER_CAPACITY": "0", "AGENTRY_LEASE_SECONDS": "0"})
    assert (env.integer("AGENTRY_WORKER_CAPACITY"), env.number("AGENTRY_LEASE_SECONDS")) == (0, 0.0)


@pytest.mark.parametrize("name", ["DATABASE_URL", "AGENTRY_EMAIL_URL"])
@pytest.mark.parametrize("value", ["hunter2-abc", "nosuch://user:hunter2@host/name"])
def test_an_address_of_a_server_that_cannot_be_read_is_named_and_not_told(
    name: str, value: str
) -> None:
    changes = {name: value, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", "import agentry_site.settings.base"],
        env=environment_of_child(changes=changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"core.env.ConfigurationError: {name} is no address")
    assert "hunter2" not in last
