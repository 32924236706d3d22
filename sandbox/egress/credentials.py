"""Headers the gateway adds, each for one host and port, and the authority that lets it into TLS.

The authority belongs to one sandbox. Its key never leaves this process, and its certificate may
vouch for the hosts that have a credential and for no others (name constraints, RFC 5280 section
4.2.1.10), so that a program inside that trusts it trusts it for nothing else.
"""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Iterable, Sequence
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core import clock
from sandbox.contracts import HostCredential
from sandbox.egress.mask import spellings_of
from sandbox.egress.messages import is_field_name, is_field_value
from sandbox.egress.rules import Place, Rules, place_of
from sandbox.errors import SandboxRefusedError

_VALID = dt.timedelta(days=30)
_BEFORE = dt.timedelta(minutes=10)
# A kind of name that no constraint mentions is allowed, so addresses are mentioned.
_ALL_ADDRESSES = [
    x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
    x509.IPAddress(ipaddress.ip_network("::/0")),
]


class Credentials:
    """What is added for which place."""

    def __init__(self, given: Sequence[HostCredential], rules: Rules) -> None:
        """Raises SandboxRefusedError naming the credential that cannot be used, without it."""
        self._by_place: dict[Place, list[tuple[str, str]]] = {}
        for credential in given:
            self._take(credential, rules)

    def _take(self, credential: HostCredential, rules: Rules) -> None:
        try:
            place = place_of(credential.host)
        except ValueError as reason:
            raise _wrong(credential, str(reason)) from None
        if not rules.allow(place):
            raise _wrong(credential, "the profile does not list that host and port")
        if not is_field_name(credential.header) or not is_field_value(credential.value):
            raise _wrong(credential, "the header's name or its value cannot be sent")
        fields = self._by_place.setdefault(place, [])
        if any(name.lower() == credential.header.lower() for name, _ in fields):
            raise _wrong(credential, "there are two for the same header")
        fields.append((credential.header, credential.value))

    @cached_property
    def authority(self) -> "Authority":
        """Return what signs for the places; made when it is first needed."""
        return Authority(self.places)

    @property
    def places(self) -> list[Place]:
        return sorted(self._by_place)

    def fields_for(self, place: Place) -> tuple[tuple[str, str], ...]:
        return tuple(self._by_place.get(place, ()))

    def secrets_for(self, place: Place) -> frozenset[bytes]:
        """Return what must not come back from this place."""
        return frozenset().union(*(spellings_of(value) for _, value in self.fields_for(place)))


class Authority:
    """Signs certificates that only the sandbox it belongs to believes."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Sandbox gateway")
        self._contexts: dict[str, ssl.SSLContext] = {}
        now = clock.now()
        hosts = sorted({place.host for place in places})
        public = self._key.public_key()
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        self._certificate = (
            _begun(self._name, self._name, now)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(self._identifier, critical=False)
            .add_extension(
                x509.NameConstraints(
                    permitted_subtrees=[_constraint(host) for host in hosts],
                    excluded_subtrees=None if any(map(_is_address, hosts)) else _ALL_ADDRESSES,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )

    def certificate(self) -> bytes:
        """Return the authority's own certificate (PEM), which may be known to everybody."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def context_for(self, host: str) -> ssl.SSLContext:
        """Return what the gateway needs to speak TLS as `host` to the inside."""
        if host not in self._contexts:
            self._contexts[host] = self._issued(host)
        return self._contexts[host]

    def _issued(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begun(_named(host), self._name, clock.now())
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _load(context, certificate, key)
        return context


def _load(
    context: ssl.SSLContext, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Give a context its key by way of memory: it reads from files only."""
    descriptor = os.memfd_create("agentry-egress")
    try:
        for part in (
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            certificate.public_bytes(serialization.Encoding.PEM),
        ):
            os.write(descriptor, part)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _begun(subject: x509.Name, issuer: x509.Name, now: dt.datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _VALID)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _alternative(host: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(host)) if _is_address(host) else x509.DNSName(host)


def _constraint(host: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_network(host)) if _is_address(host) else x509.DNSName(host)


def _wrong(credential: HostCredential, reason: str) -> SandboxRefusedError:
    return SandboxRefusedError(
        f"The credential for {credential.host[:200]!r} cannot be used: {reason}.",
        remedy="Name one host:port of the profile's list, a header and a plain value.",
    )
