"""Who signs: a certificate chain and its key, from files or the environment, or one made up for the occasion."""

from __future__ import annotations

import datetime
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipeline.core.errors import SetupError

CERTIFICATE, KEY = "LONGTAKE_CREDENTIALS_CERT", "LONGTAKE_CREDENTIALS_KEY"
TIME_STAMPS = "LONGTAKE_CREDENTIALS_TSA"  # URL of a time stamp authority
_PEM = serialization.Encoding.PEM
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Identity:
    """`certificate`: PEM, the signer's first, then its issuers. `test`: nobody vouches for it."""

    algorithm: str
    certificate: bytes
    key: bytes = field(repr=False)
    test: bool = False
    time_stamps: str | None = None

    @property
    def name(self) -> str:
        first = x509.load_pem_x509_certificates(self.certificate)[0]
        key = first.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(key + first.subject.public_bytes()).hexdigest()[:16]


def identity() -> Identity:
    """The identity of the environment, else a test identity that is thrown away afterwards. Raises SetupError."""
    certificate, key = os.environ.get(CERTIFICATE), os.environ.get(KEY)
    if not certificate and not key:
        return made_up("throwaway")
    if not certificate or not key:
        raise SetupError(f"{KEY if certificate else CERTIFICATE} is not set; set both or neither")
    chain, secret = _pem(CERTIFICATE, certificate), _pem(KEY, key)
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
        loaded = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError, UnsupportedAlgorithm, IndexError):
        raise SetupError(
            f"{CERTIFICATE} or {KEY}: expected a PEM certificate chain and its PEM key without a password; "
            "`longtake credentials init` makes a pair for tests"
        ) from None
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    if first.public_key().public_bytes(_PEM, public) != loaded.public_key().public_bytes(_PEM, public):
        raise SetupError(f"{KEY} does not belong to the first certificate of {CERTIFICATE}; give a pair")
    if first.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise SetupError(f"{CERTIFICATE}: expired on {first.not_valid_after_utc:%Y-%m-%d}; get a new certificate")
    test = "Longtake test identity" in first.subject.rfc4514_string()
    return Identity(_algorithm(loaded), chain, secret, test, os.environ.get(TIME_STAMPS) or None)


def signer_name() -> str:
    """Name of the identity that this machine signs with, never its key; empty where it makes one up. Raises SetupError.

    It is made of the certificate's public key and of the name in it, so a certificate that is renewed for the same key
    is the same identity.
    """
    return identity().name if os.environ.get(CERTIFICATE) or os.environ.get(KEY) else ""


def made_up(name: str, days: int = 365) -> Identity:
    """A new test identity: a root of its own that vouches for a signer.

    Keys, numbers and signatures have fixed lengths, so what one of them signs is as long as what another does.
    """
    root_key, key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    root_name, own_name = _name(f"{name} root"), _name(name)
    root = (
        _certificate(root_name, root_name, root_key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(root=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, None)
    )
    own = (
        _certificate(own_name, root_name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(root=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, None)
    )
    secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity("ed25519", own.public_bytes(_PEM) + root.public_bytes(_PEM), secret, test=True)


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise SetupError(f"{KEY}: a key of type {type(key).__name__}; expected P-256, P-384, P-521, Ed25519 or RSA")


def _pem(variable: str, value: str) -> bytes:
    """PEM text as it stands in the environment, or from the file that is named there."""
    if "-----BEGIN" in value:
        return value.encode()
    try:
        return Path(value).read_bytes()
    except OSError as error:
        raise SetupError(f"{variable}: {value} cannot be read ({error.strerror}); name a PEM file") from None


def _name(common: str) -> x509.Name:
    names = ((NameOID.ORGANIZATION_NAME, "Longtake test identity"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in names])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ed25519.Ed25519PublicKey, days: int
) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)  # clocks differ
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(int.from_bytes(b"\x40" + os.urandom(15), "big"))
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )


def _usage(*, root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not root,
        key_cert_sign=root,
        crl_sign=root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
