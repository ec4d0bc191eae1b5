"""TLS: the context that every Kafka client uses, and failures of TLS in a person's words."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

# What OpenSSL 1.1.1 to 3.5 say, each in its own way, when the answer to a TLS greeting is no TLS at all.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
# The other side is gone: a port without TLS that does not like the greeting, or a server that was killed.
_CUT: Final = ("UNEXPECTED_EOF", "EOF occurred in violation of protocol")
TLS_ENDED: Final = "it ended the TLS connection"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificate and name; without a file the system's authorities are trusted."""
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


def tls_failure(text: str, *, ca_setting: str) -> str | None:
    """Return why TLS failed and what to set, None when `text` tells of something else.

    Args:
        text: What the TLS library said, alone or inside another error's text.
        ca_setting: The setting that names the file of trusted authorities.
    """
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _distrust(text, ca_setting)
    if any(sign in text for sign in _NO_TLS):
        return "the port does not speak TLS"
    if any(sign in text for sign in _CUT):
        return TLS_ENDED
    return None


def _distrust(text: str, ca_setting: str) -> str:
    if "mismatch" in text:
        return "its certificate is made for another name: use an address that the certificate names"
    if "expired" in text:
        return "its certificate has expired"
    return f"its certificate is not trusted: {ca_setting} must name the PEM file of who signed it"
