"""This process as if it were another one, as far as it knows of secrets."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from core.known_values import KnownSecrets
from core.redaction import known_secrets
from governance.services.known_secrets import forget_learned
from governance.services.secret_values import forget_sources


@contextmanager
def a_new_process() -> Iterator[None]:
    """Nothing has been set, opened or learned when the block begins, nor of the block afterwards.

    For when no thread of an engine is running.
    """
    before = dict(vars(known_secrets))
    _begin(vars(KnownSecrets()))
    yield
    _begin(before)


@contextmanager
def elsewhere() -> Iterator[None]:
    """What is set or opened in the block is so in another process: this one does not notice."""
    with patch.object(KnownSecrets, "remember", lambda self, value: None):
        yield


def _begin(state: dict[str, object]) -> None:
    vars(known_secrets).update(state)
    forget_learned()
    forget_sources()
