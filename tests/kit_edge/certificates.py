"""Certificates for tests: an authority of their own, and certificates of it as PEM files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for 127.0.0.1 and localhost. Its own is `ca_file`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.ca_file = folder / f"{name}.pem"
        self.ca_file.write_bytes(_pem(self._signed(self._name, self._key, authority=True)))

    def certificate(self, name: str) -> tuple[Path, Path]:
        """A new certificate and its key, in files of this name; the next of that name replaces them."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self.folder / f"{name}.cert.pem", self.folder / f"{name}.key.pem"
        certificate.write_bytes(_pem(self._signed(_named(name), key)))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key_file

    def server_context(self, name: str, *, client_authority: Authority | None = None) -> ssl.SSLContext:
        """A server with a new certificate; with `client_authority`, clients need one of it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate(name))
        if client_authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_authority.ca_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
