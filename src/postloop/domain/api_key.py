"""Keys of the API: their form, what is kept of them, and whether one counts now.

A key is `plk_`, its id, `_` and a secret of 256 random bits in lower-case base 32. The id may be shown and logged; of
the whole only a SHA-256 is kept. That suffices where a password would need a slow hash: nobody guesses 256 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b32encode
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from postloop.domain.errors import DataError

PREFIX: Final = "plk_"
ID_BYTES: Final = 10
SECRET_BYTES: Final = 32
RANDOM_BYTES: Final = ID_BYTES + SECRET_BYTES
MAX_NAME_CHARS: Final = 200
MAX_ACCOUNT_CHARS: Final = 998
"""As in events."""

_form: Final = re.compile(r"plk_([a-z2-7]{16})_[a-z2-7]{52}").fullmatch
_id_form: Final = re.compile(r"[a-z2-7]{16}").fullmatch

Kind = Literal["account", "operator"]
Refusal = Literal["unknown", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which its text is known."""

    key_id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What is kept of it."""
        return digest_of(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept.

    Attributes:
        account_id: Whose data it opens; empty: an operator's, all of it.
        digest: SHA-256 of the text, in hexadecimal.
        expires_at: From this moment on it does not count; None: it has no end.
        revoked_at: The same, when somebody ended it.
    """

    key_id: str
    kind: Kind
    account_id: str
    name: str
    digest: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.kind == "account") is not bool(self.account_id):
            raise DataError("wrong_owner", "account_id", "a key belongs to one account or to an operator")
        if len(self.account_id) > MAX_ACCOUNT_CHARS:
            raise DataError(
                "too_long", "account_id", f"an account has at most {MAX_ACCOUNT_CHARS} characters"
            )
        if len(self.name) > MAX_NAME_CHARS:
            raise DataError("too_long", "name", f"a name has at most {MAX_NAME_CHARS} characters")

    def state_at(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return whether it counts; what was revoked stays revoked also after its end."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"


def new_key(random: bytes) -> NewKey:
    """Return the key that RANDOM_BYTES random bytes make."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key is made of {RANDOM_BYTES} random bytes: {len(random)}")
    key_id = _text(random[:ID_BYTES])
    return NewKey(key_id, f"{PREFIX}{key_id}_{_text(random[ID_BYTES:])}")


def id_of(text: str) -> str | None:
    """Return the id of a key; None for a text that is no key at all."""
    match = _form(text)
    return None if match is None else match[1]


def is_id(text: str) -> bool:
    """Return whether a text can be the id of a key."""
    return _id_form(text) is not None


def digest_of(text: str) -> str:
    """Return the SHA-256 of a key's text in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def refusal(known: ApiKey | None, text: str, *, now: datetime) -> Refusal | None:
    """Return why a text opens nothing, None when it is the text of a key that counts.

    An end is told only to whoever has the secret; comparing takes the same time wherever the texts differ.
    """
    kept = known.digest if known is not None else digest_of("")
    if not hmac.compare_digest(digest_of(text), kept) or known is None:
        return "unknown"
    state = known.state_at(now)
    return None if state == "active" else state


def _text(random: bytes) -> str:
    return b32encode(random).decode().rstrip("=").lower()
