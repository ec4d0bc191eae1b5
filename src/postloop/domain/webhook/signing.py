"""Signatures after Standard Webhooks 1.0: what is signed, the form of secrets, and the three headers.

What a receiver recomputes are bytes: whoever signs must send exactly the body that was signed.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from postloop.domain.errors import DataError

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret begins with
SIGNING_KEY_PREFIX: Final = "whsk_"
PUBLIC_KEY_PREFIX: Final = "whpk_"
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
NEW_SECRET_BYTES: Final = 32
ED25519_KEY_BYTES: Final = 32
ED25519_SIGNATURE_BYTES: Final = 64

_HMAC_VERSION: Final = "v1"
_ED25519_VERSION: Final = "v1a"
_is_id: Final = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch

Signer = Callable[[bytes], str]
"""Makes one signature, with its version, of the signed content: `v1,...` or `v1a,...`."""


@dataclass(frozen=True, slots=True)
class HmacSigner:
    """Signs with a shared secret (`v1`, HMAC-SHA256)."""

    key: bytes = field(repr=False)

    def __call__(self, content: bytes) -> str:
        return f"{_HMAC_VERSION},{b64encode(hmac.digest(self.key, content, 'sha256')).decode()}"


def attempt_headers(
    *, message_id: str, timestamp_s: int, body: bytes, signers: Iterable[Signer]
) -> dict[str, str]:
    """Return the three headers of one attempt.

    Args:
        message_id: The same in every attempt; letters, digits, - and _ only.
        timestamp_s: The time of this attempt, seconds since 1970.
        body: The bytes that are sent.
        signers: One for each secret in force, the newest first: a receiver needs to know any one of them.

    Raises:
        DataError: `webhook_id` or `no_secret`.
    """
    content = signed_content(message_id, timestamp_s, body)
    signatures = " ".join([sign(content) for sign in signers])
    if not signatures:
        raise DataError("no_secret", "secrets", "a webhook is signed with one secret at least")
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: str(timestamp_s), SIGNATURE_HEADER: signatures}


def signed_content(message_id: str, timestamp_s: int, body: bytes) -> bytes:
    """Return what is signed: id, time and body, joined by dots.

    The id must not hold a dot: `a.1` with time 2 would be signed like `a` with time 1 and a body that begins `2.`

    Raises:
        DataError: `webhook_id`.
    """
    if not _is_id(message_id):
        raise DataError("webhook_id", ID_HEADER, "a webhook id has 1 to 128 letters, digits, - and _")
    return b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)


def ed25519_signature(signature: bytes) -> str:
    """Return an ed25519 signature in the form of the header."""
    return f"{_ED25519_VERSION},{b64encode(signature).decode()}"


def signatures_of(header: str, *, is_ed25519: bool) -> list[bytes]:
    """Return the signatures of one version that a header holds.

    Other versions and parts that cannot be read are passed over: a sender may add new ones.
    """
    wanted = _ED25519_VERSION if is_ed25519 else _HMAC_VERSION
    found = []
    for part in header.split(" "):
        version, _, text = part.partition(",")
        signature = _decoded(text) if version == wanted else None
        if signature:
            found.append(signature)
    return found


def new_secret(random_bytes: bytes) -> str:
    """Return the text of a new secret; `random_bytes` come from a cryptographic source, NEW_SECRET_BYTES of them.

    Raises:
        DataError: `secret_length`.
    """
    _check_length(len(random_bytes))
    return SECRET_PREFIX + b64encode(random_bytes).decode()


def secret_key(secret: str) -> bytes:
    """Return the key in a `whsec_` text; the padding of its base64 may be missing.

    Raises:
        DataError: `secret_form` or `secret_length`; the text of the error never shows the secret.
    """
    key = _after(SECRET_PREFIX, secret)
    if key is None:
        raise DataError("secret_form", "secret", f"a secret is {SECRET_PREFIX} followed by base64")
    _check_length(len(key))
    return key


def ed25519_seed(secret: str) -> bytes:
    """Return the private key in a `whsk_` text: 32 bytes, or 64 where the public key follows it.

    Raises:
        DataError: `secret_form`.
    """
    key = _after(SIGNING_KEY_PREFIX, secret)
    if key is None or len(key) not in (ED25519_KEY_BYTES, 2 * ED25519_KEY_BYTES):
        raise DataError(
            "secret_form", "secret", f"a signing key is {SIGNING_KEY_PREFIX} and base64 of 64 bytes"
        )
    return key[:ED25519_KEY_BYTES]


def ed25519_public_key(text: str) -> bytes:
    """Return the 32 bytes in a `whpk_` text.

    Raises:
        DataError: `secret_form`.
    """
    key = _after(PUBLIC_KEY_PREFIX, text)
    if key is None or len(key) != ED25519_KEY_BYTES:
        raise DataError(
            "secret_form", "secret", f"a public key is {PUBLIC_KEY_PREFIX} and base64 of 32 bytes"
        )
    return key


def ed25519_texts(*, seed: bytes, public_key: bytes) -> tuple[str, str]:
    """Return the texts of a pair of keys: `whsk_...` to sign with, `whpk_...` for the receiver."""
    private = SIGNING_KEY_PREFIX + b64encode(seed + public_key).decode()
    return private, PUBLIC_KEY_PREFIX + b64encode(public_key).decode()


def _check_length(size_bytes: int) -> None:
    if not MIN_SECRET_BYTES <= size_bytes <= MAX_SECRET_BYTES:
        limits = f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}"
        raise DataError("secret_length", "secret", f"a secret has {limits} bytes: {size_bytes}")


def _after(prefix: str, text: str) -> bytes | None:
    return _decoded(text[len(prefix) :]) if text.startswith(prefix) else None


def _decoded(text: str) -> bytes | None:
    """Return the bytes of base64 with or without its padding, None for anything else."""
    try:
        data = text.rstrip("=").encode("ascii")
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are both ValueErrors
        return None
