"""Certificates and keys that live for a test."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


class Authority:
    """A certificate authority of its own; files go into a folder.

    Attributes:
        certificate: PEM file that a client trusts it by.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            key_cert_sign=True,
            crl_sign=True,
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        signed = (
            self._certificate(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def server(self) -> Path:
        """Issue a certificate for this machine and return a file with it and its key."""
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "servers")])
        return self._issue("server", subject, x509.SubjectAlternativeName(names))[0]

    def client(self, name: str) -> tuple[Path, str]:
        """Issue a certificate for a user; return its file and the subject, as MongoDB names it."""
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "users"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        return self._issue(name, subject)

    def _issue(
        self, file: str, subject: x509.Name, *extensions: x509.ExtensionType
    ) -> tuple[Path, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = self._certificate(subject, key.public_key())
        for extension in (x509.ExtendedKeyUsage(usages), *extensions):
            certificate = certificate.add_extension(extension, critical=False)
        signed = certificate.sign(self._key, hashes.SHA256())
        path = self._folder / f"{file}.pem"
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + _pem(key))
        return path, subject.rfc4514_string()

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


class ServiceAccount:
    """A key of Google's form that Google has never seen.

    Attributes:
        file: What `GOOGLE_APPLICATION_CREDENTIALS` names.
    """

    EMAIL = "streamer@some-project.iam.gserviceaccount.com"

    def __init__(self, folder: Path) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._public_key = key.public_key()
        self.file = folder / "service-account.json"
        account = {
            "type": "service_account",
            "project_id": "some-project",
            "private_key_id": "1",
            "private_key": _pem(key).decode(),
            "client_email": self.EMAIL,
            # No token is asked for: the key signs it itself.
            "token_uri": "https://127.0.0.1:9/",
        }
        self.file.write_text(json.dumps(account))

    def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, once its signature has been found to be of this key.

        Raises:
            InvalidSignature: It is not.
        """
        signed, _, signature = token.rpartition(".")
        self._public_key.verify(
            _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        claims: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
        return claims


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
