"""Failed attempts to get in, counted per address and per account, in the cache all processes share.

A password is tried at most so often (`settings.SIGN_IN_FAILURES`) for one account from one address
within a window, and ten times as often for one address or one account altogether. Where an account
has signed in before, only the first of the three counts: an attacker can lock out himself, and
nobody who is known. A token that is valid is never refused, since no token can be guessed; an
address that sends wrong ones is told to stop.

The counts are a brake and no lock: without a cache people still get in.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.core.cache import cache
from redis import RedisError

from core import clock
from core.errors import DomainError, LimitExceededError, NotAuthenticatedError
from governance.services.signing_in import tokens_failed

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 900
ALTOGETHER = 10
KNOWN_SECONDS = 30 * 86_400
_SUBNET_BITS = 64  # one customer's share of IPv6


def _nothing() -> None:
    """What is done at the limit where nobody keeps a record."""


def sign_in_attempt(account: str, address: str, *, at_limit: Callable[[], None] = _nothing) -> None:
    """Count an attempt before the password is looked at, so that no crowd slips through at once.

    `at_limit` is called for the first that is refused in a window, and not for those after it.

    Raises:
        LimitExceededError: too many have failed; the password was not looked at.
    """
    limit = settings.SIGN_IN_FAILURES
    is_over = is_first = False
    with _or_without_cache():
        pair, *others = _keys(account, address)
        counts = [(_count(pair), limit)]
        if counts[0][0] <= limit:  # what is refused already counts against nobody else
            wider = [(_count(key), limit * ALTOGETHER) for key in others]
            counts += [] if _is_known(account, address) else wider
        is_over = any(count > most for count, most in counts)
        is_first = any(count == most + 1 for count, most in counts)
    if is_over:
        if is_first:
            at_limit()
        raise _too_many("attempts to sign in")


def sign_in_succeeded(account: str, address: str) -> None:
    """Take the attempt back, and remember that this account is at home at this address."""
    with _or_without_cache():
        pair, *others = _keys(account, address)
        cache.delete(pair)
        for key in others:
            _take_back(key)
        cache.set(_known_key(account, address), 1, KNOWN_SECONDS)


def token_refused(error: NotAuthenticatedError, address: str) -> DomainError:
    """Count a token that was refused; return what to tell its sender."""
    count = 0
    with _or_without_cache():
        count = _count(_key("token", _place(address)))
    most = settings.SIGN_IN_FAILURES * ALTOGETHER
    if count == most + 1:
        tokens_failed(address, count=most)
    if count > most:
        return _too_many("wrong tokens from your address")
    return error


def _too_many(what: str) -> LimitExceededError:
    seconds = WINDOW_SECONDS - clock.now().timestamp() % WINDOW_SECONDS
    minutes = math.ceil(seconds / 60)
    return LimitExceededError(
        f"There were too many {what}.",
        retry_after_seconds=seconds,
        remedy=f"Try again in {minutes} minute{'s' if minutes > 1 else ''}.",
    )


def _keys(account: str, address: str) -> tuple[str, str, str]:
    name, place = account.strip().casefold(), _place(address)
    return _key("pair", name, place), _key("address", place), _key("account", name)


def _known_key(account: str, address: str) -> str:
    return _key("known", account.strip().casefold(), _place(address), is_lasting=True)


def _key(*parts: str, is_lasting: bool = False) -> str:
    """Return a key of one window; account names stay out of the cache."""
    window = "" if is_lasting else str(int(clock.now().timestamp() // WINDOW_SECONDS))
    digest = hashlib.sha256("\0".join((*parts, window)).encode("utf-8", "surrogatepass"))
    return f"sign-in:{digest.hexdigest()}"


def _place(address: str) -> str:
    """Return what counts as one address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((int(found), _SUBNET_BITS), strict=False))


def _is_known(account: str, address: str) -> bool:
    return cache.get(_known_key(account, address)) is not None


def _count(key: str) -> int:
    cache.add(key, 0, WINDOW_SECONDS)
    try:
        return int(cache.incr(key))
    except ValueError:  # it ran out between the two
        return 1


def _take_back(key: str) -> None:
    try:
        cache.decr(key)
    except ValueError:
        return


@contextmanager
def _or_without_cache() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError):
        logger.warning("sign_in_uncounted", exc_info=True)
