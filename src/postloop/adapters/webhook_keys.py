"""Keys of webhooks as functions: from the text of a secret to what signs or checks with it."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from postloop.domain.webhook.signing import (
    NEW_SECRET_BYTES,
    SIGNING_KEY_PREFIX,
    HmacSigner,
    Signer,
    ed25519_public_key,
    ed25519_seed,
    ed25519_signature,
    ed25519_texts,
    new_secret,
    secret_key,
)


class Ed25519Signer:
    """Signs with a private key (`v1a`); the receiver needs the public one only."""

    __slots__ = ("_key",)

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def __call__(self, content: bytes) -> str:
        return ed25519_signature(self._key.sign(content))


def signer_of(secret: str) -> Signer:
    """Return what signs with a `whsec_` or `whsk_` text. Worth keeping: reading a key costs more than signing.

    Raises:
        DataError: `secret_form` or `secret_length`.
    """
    if is_ed25519_key(secret):
        return Ed25519Signer(ed25519_seed(secret))
    return HmacSigner(secret_key(secret))


def generate_secret() -> str:
    """Return a new `whsec_` secret from the operating system's random source."""
    return new_secret(secrets.token_bytes(NEW_SECRET_BYTES))


def generate_ed25519() -> tuple[str, str]:
    """Return a new pair: `whsk_...` to sign with, `whpk_...` for the receiver."""
    key = Ed25519PrivateKey.generate()
    return ed25519_texts(seed=key.private_bytes_raw(), public_key=key.public_key().public_bytes_raw())


def generate(*, is_ed25519: bool) -> tuple[str, dict[str, str]]:
    """Return what a new endpoint signs with, and by its name what its receiver is given: that, or a public key."""
    if is_ed25519:
        private, public = generate_ed25519()
        return private, {"public_key": public}
    secret = generate_secret()
    return secret, {"secret": secret}


def is_ed25519_key(secret: str) -> bool:
    """Return whether a text that signs is a private key (`whsk_`)."""
    return secret.startswith(SIGNING_KEY_PREFIX)


def ed25519_is_valid(public_key: str, *, signature: bytes, content: bytes) -> bool:
    """Return whether the owner of a `whpk_` key signed these bytes.

    Raises:
        DataError: `secret_form`.
    """
    try:
        Ed25519PublicKey.from_public_bytes(ed25519_public_key(public_key)).verify(signature, content)
    except InvalidSignature:
        return False
    return True
