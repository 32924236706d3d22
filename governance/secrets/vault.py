"""Secrets of a HashiCorp Vault, or of a server that answers its API: a KV version 2 engine.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version and
https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle

The server is asked over TLS (plain HTTP to a loopback address only), without following redirects
and without proxies; every request has a time-out, and an answer a bound. Its words are not passed
on: an error names the status and what to look at.
"""

import ipaddress
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from core import clock
from core.env import ConfigurationError
from governance.errors import SecretUnreadableError
from governance.secrets.places import SecretPlace
from governance.secrets.source import unreadable

MAX_ANSWER_BYTES = 1024 * 1024
_LOGIN_MARGIN_SECONDS = 10.0
_REMEDIES = {
    400: "See the vault's log for what it did not like.",
    403: "Give the site's token or role a policy that may read this path.",
    404: "Write the secret, or correct the path; the engine has to be KV version 2.",
    429: "Raise the vault's rate limit, or AGENTRY_VAULT_CACHE_SECONDS.",
    503: "Unseal the vault, or wait until it has a leader.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """How the vault is reached: `token`, or a role that signs in (`role_id`, `secret_id`)."""

    url: str
    token: str = field(default="", repr=False)
    role_id: str = ""
    secret_id: str = field(default="", repr=False)
    namespace: str = ""
    ca_file: str = ""
    timeout_seconds: float = 5.0

    def check(self) -> None:
        """Raise ConfigurationError when it cannot be used."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise ConfigurationError("AGENTRY_VAULT_URL is not an address such as https://vault.")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ConfigurationError(
                "AGENTRY_VAULT_URL begins with http://, so that others on the way could read "
                "secrets; give the vault a certificate and use https://."
            )
        if bool(self.token) == bool(self.role_id):
            raise ConfigurationError(
                "Give the vault either AGENTRY_VAULT_TOKEN or AGENTRY_VAULT_ROLE_ID with "
                "AGENTRY_VAULT_SECRET_ID."
            )
        if not self.timeout_seconds > 0:
            raise ConfigurationError("AGENTRY_VAULT_TIMEOUT_SECONDS must be more than 0.")


class VaultSource:
    """Looks secrets up in one vault; with a role it signs in when it has to."""

    def __init__(self, settings: VaultSettings) -> None:
        settings.check()
        self._settings = settings
        self._lock = threading.Lock()
        self._token = settings.token
        self._token_until: float | None = None
        tls = ssl.create_default_context(cafile=settings.ca_file or None)
        self._client = httpx2.Client(
            base_url=settings.url.rstrip("/"),
            verify=tls,
            timeout=settings.timeout_seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"x-vault-request": "true"}
            | ({"x-vault-namespace": settings.namespace} if settings.namespace else {}),
        )

    def close(self) -> None:
        self._client.close()

    def read(self, place: SecretPlace) -> str:
        address = f"/v1/{quote(place.mount)}/data/{quote(place.path)}"
        token = self._signed_in(place)
        status, body = self._ask(place, "GET", address, token=token)
        if status == 403 and self._settings.role_id:
            # The token may have been revoked before its time.
            status, body = self._ask(place, "GET", address, token=self._signed_in(place, token))
        if status != 200:
            raise _refused(place, status)
        data = _inside(_inside(body, "data"), "data")
        value = data.get(place.field)
        if not isinstance(value, str) or not value:
            raise unreadable(
                place,
                f"it has no field {place.field!r} that is text",
                "Correct the field, or write it.",
            )
        return value

    def _signed_in(self, place: SecretPlace, refused: str = "") -> str:
        """Return a token that is not the one that was refused."""
        if not self._settings.role_id:
            return self._token
        with self._lock:
            until = self._token_until
            if (
                self._token
                and self._token != refused
                and (until is None or clock.monotonic() < until)
            ):
                return self._token
            status, body = self._ask(
                place,
                "POST",
                "/v1/auth/approle/login",
                content={
                    "role_id": self._settings.role_id,
                    "secret_id": self._settings.secret_id,
                },
            )
            if status != 200:
                raise unreadable(
                    place,
                    f"the vault does not let the role sign in (status {status})",
                    "Check AGENTRY_VAULT_ROLE_ID and AGENTRY_VAULT_SECRET_ID.",
                )
            auth = _inside(body, "auth")
            token, seconds = auth.get("client_token"), auth.get("lease_duration")
            if not isinstance(token, str) or not token:
                raise _nonsense(place)
            self._token = token
            self._token_until = None  # for ever, as root tokens are
            if isinstance(seconds, int | float) and seconds > 0:
                self._token_until = clock.monotonic() + max(1.0, seconds - _LOGIN_MARGIN_SECONDS)
            return token

    def _ask(
        self,
        place: SecretPlace,
        method: str,
        address: str,
        *,
        token: str = "",
        content: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        headers = {"x-vault-token": token} if token else {}
        give_up_at = clock.monotonic() + self._settings.timeout_seconds
        received = bytearray()
        try:
            with self._client.stream(method, address, headers=headers, json=content) as answer:
                for part in answer.iter_bytes():
                    received += part
                    if len(received) > MAX_ANSWER_BYTES:
                        raise _nonsense(place)
                    if clock.monotonic() > give_up_at:
                        raise _silent(place, self._settings.timeout_seconds)
                status = answer.status_code
        except httpx2.TimeoutException:
            raise _silent(place, self._settings.timeout_seconds) from None
        except httpx2.HTTPError as error:
            raise unreadable(
                place,
                f"the vault cannot be reached ({type(error).__name__})",
                "Check AGENTRY_VAULT_URL, its certificate (AGENTRY_VAULT_CA_FILE), and whether "
                "the vault runs.",
            ) from None
        if status != 200:
            return status, None
        try:
            return status, msgspec.json.decode(bytes(received))
        except msgspec.MsgspecError:
            raise _nonsense(place) from None


def _inside(body: Any, name: str) -> dict[str, Any]:
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _refused(place: SecretPlace, status: int) -> SecretUnreadableError:
    remedy = _REMEDIES.get(status, "See the vault's log.")
    return unreadable(place, f"the vault answers {status}", remedy)


def _silent(place: SecretPlace, seconds: float) -> SecretUnreadableError:
    return unreadable(
        place,
        f"the vault gave no whole answer within {seconds:g} seconds",
        "Look at the vault, or raise AGENTRY_VAULT_TIMEOUT_SECONDS.",
    )


def _nonsense(place: SecretPlace) -> SecretUnreadableError:
    return unreadable(
        place, "the answer is not a vault's", "Check that AGENTRY_VAULT_URL is the vault's."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
