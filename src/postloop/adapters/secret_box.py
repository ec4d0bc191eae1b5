"""Texts sealed for storage under master keys that can be rotated: AES-256-GCM.

The first key seals, every key opens. To rotate: put a new key first, restart, let `is_current` find what must be sealed
again (`postloop webhook reseal`), then drop the old key. What is sealed carries the name of its key and is bound to its
context, so it opens nowhere but where it was sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postloop.domain.errors import PostloopError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12  # NIST SP 800-38D section 8.2; random: 2^32 texts under one key are safe
_FORM: Final = "v1"
_ID_CHARS: Final = 12


class SecretBoxError(PostloopError):
    """There is no key, a wrong one, or a text that was not sealed here; no text of an error shows a key."""


class SecretBox:
    """Seals and opens.

    Args:
        keys: Each of 32 bytes, the newest first.

    Raises:
        SecretBoxError: There is no key, one is of another length, or one is given twice.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise SecretBoxError(
                "no master key for the secrets of webhooks: set POSTLOOP_WEBHOOK_MASTER_KEYS to what "
                "`openssl rand -base64 32` prints"
            )
        if any(len(key) != KEY_BYTES for key in keys):
            raise SecretBoxError(
                f"POSTLOOP_WEBHOOK_MASTER_KEYS: a master key has {KEY_BYTES} bytes, in base64"
            )
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        if len(self._ciphers) < len(keys):
            raise SecretBoxError("POSTLOOP_WEBHOOK_MASTER_KEYS: a master key is given twice")
        self._current = _key_id(keys[0])

    @classmethod
    def from_text(cls, keys: str) -> Self:
        """Return the box for keys in base64 with commas between them, as POSTLOOP_WEBHOOK_MASTER_KEYS has them.

        Raises:
            SecretBoxError: As above, or one is no base64.
        """
        try:
            found = [base64.b64decode(key.strip(), validate=True) for key in keys.split(",") if key.strip()]
        except (binascii.Error, ValueError):
            raise SecretBoxError(
                f"POSTLOOP_WEBHOOK_MASTER_KEYS: a master key is base64 of {KEY_BYTES} bytes"
            ) from None
        return cls(found)

    def seal(self, text: str, context: str) -> str:
        """Return a text sealed under the newest key, for one context. The same text never gives the same result."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, text.encode(), context.encode())
        return f"{_FORM}.{self._current}.{base64.b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, context: str) -> str:
        """Return the text.

        Raises:
            SecretBoxError: Its key is missing, it was sealed for another context, or it was changed.
        """
        form, _, rest = sealed.partition(".")
        key_id, _, payload = rest.partition(".")
        if form != _FORM:
            raise SecretBoxError("a stored secret of a webhook has a form that this release does not know")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SecretBoxError(
                f"a stored secret of a webhook was sealed under the master key {key_id}, which is missing: add it "
                f"to POSTLOOP_WEBHOOK_MASTER_KEYS (known: {', '.join(self._ciphers)})"
            )
        try:
            raw = base64.b64decode(payload, validate=True)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise SecretBoxError("a stored secret of a webhook was changed or belongs elsewhere") from None

    def is_current(self, sealed: str) -> bool:
        """Return whether a text is sealed under the newest key."""
        return sealed.startswith(f"{_FORM}.{self._current}.")


def _key_id(key: bytes) -> str:
    """Return a name for a key that tells nothing of it."""
    return hashlib.sha256(b"postloop master key|" + key).hexdigest()[:_ID_CHARS]
