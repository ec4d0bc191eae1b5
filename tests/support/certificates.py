"""A certificate authority of a test's own, and certificates for loopback addresses."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


class Authority:
    """Signs certificates; `ca_file` is what a client must trust."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def key_and_certificate(self, name: str = "127.0.0.1") -> Path:
        """Return a PEM file with the private key and the certificate of one host name or address."""
        issued = self._ca.issue_cert(name)
        # In PKCS #8, the only form of a key that Kafka reads.
        key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = self._directory / f"{name}.pem"
        path.write_bytes(pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return path

    def server_context(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """Return the context of a server that shows such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.key_and_certificate(name))
        return context
