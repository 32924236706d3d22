"""Which requests carry an idempotency key of their own: all that make or decide something."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agentry.client import calls
from agentry.client.calls import runs
from agentry.client.flow import Call

RUN = "0199c0de-0000-7000-8000-000000000001"
# What is posted without a key, and why.
WITHOUT = {
    "account.token_create": "the server refuses keys where the answer is a secret",
    "catalogue.provider_check": "asks only",
    "channels.channel_create": "the server refuses keys where the answer is a secret",
    **dict.fromkeys(
        (
            "debugging.add_message",
            "debugging.edit_arguments",
            "debugging.edit_message",
            "debugging.go_on",
            "debugging.step",
        ),
        "it names the version it saw; the second answer says what has changed",
    ),
    "governing.policy_simulate": "asks only",
    "governing.policy_test": "asks only",
    "runs.pause": "the second answer says that it has happened",
    "runs.resume": "the second answer says that it has happened",
    "runs.cancel": "the second answer says that it has happened",
}
_VALUES: dict[str, Any] = {
    **{
        f"{noun}_id": RUN
        for noun in ("run", "approval", "grant", "delegation", "delivery", "token", "call")
    },
    "number": 1,
    "checkpoint": 1,
    "spec": {},
    "arguments": {},
    "pattern": {},
    "documents": [],
    "until_at": datetime(2027, 1, 1, tzinfo=UTC),
}


def _described() -> Iterator[tuple[str, Callable[..., Call[Any]]]]:
    for found in pkgutil.iter_modules(calls.__path__):
        if found.name == "shape":
            continue
        module = importlib.import_module(f"{calls.__name__}.{found.name}")
        for name, build in vars(module).items():
            if inspect.isfunction(build) and build.__module__ == module.__name__ and name[0] != "_":
                yield f"{found.name}.{name}", build


def _made(build: Callable[..., Call[Any]]) -> Call[Any]:
    wanted = inspect.signature(build).parameters.values()
    return build(
        **{
            each.name: _VALUES.get(each.name, "x")
            for each in wanted
            if each.default is inspect.Parameter.empty
        }
    )


POSTS = {name: build for name, build in _described() if _made(build).method == "POST"}


def test_there_are_as_many_as_one_thinks() -> None:
    assert len(POSTS) > 20
    assert WITHOUT.keys() <= POSTS.keys()


@pytest.mark.parametrize("name", sorted(POSTS))
def test_what_makes_something_carries_a_key_of_its_own(name: str) -> None:
    one, other = _made(POSTS[name]), _made(POSTS[name])

    assert one.is_repeatable == (name not in WITHOUT)
    assert (one.idempotency_key != other.idempotency_key) == one.is_repeatable


def test_a_key_that_is_given_is_kept() -> None:
    assert runs.start("x", idempotency_key="mine").idempotency_key == "mine"
