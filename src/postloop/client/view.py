"""The blocklist as one sender sees it: who may not be mailed now, in memory, without Kafka."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from postloop.client.hash_table import NOTE_BYTES, HashTable
from postloop.client.records import Change, Listed
from postloop.contracts.address import canonical_text, hashed_recipient
from postloop.contracts.fields import moment
from postloop.domain.blocklist import GLOBAL

# A value of the table, from the top: 48 bits of milliseconds since 1970 (enough for the year 9999), one bit for the
# hashed form, one for an id that is no UUID, 14 bits for the reason.
_EXPIRY_SHIFT: Final = 16
_NEVER_MS: Final = (1 << 48) - 1
_HASHED: Final = 1 << 15
_ODD_ID: Final = 1 << 14
_REASON_MASK: Final = _ODD_ID - 1
_NO_NOTE: Final = bytes(NOTE_BYTES)
_is_uuid: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}").fullmatch


@dataclass(frozen=True, slots=True)
class BlockedBy:
    """Why a recipient may not be mailed.

    Attributes:
        scope: `global`, or the sender domain for which the recipient is blocked.
        expires_at: None: the entry has no end of itself.
    """

    scope: str
    reason: str
    expires_at: datetime | None
    entry_id: str


class BlockView:
    """The entries, found by a 64-bit hash of scope and recipient.

    The hash is Python's own, with a key that no other process knows (unless PYTHONHASHSEED is set). Among a million
    entries an address that is not listed is taken for a listed one with a probability of 1e-13, and that any two
    entries are taken for one has a probability of 3e-8. One thread may write while others read.

    Args:
        hash_key: Of entries whose recipient is an HMAC; None: they cannot be looked up.
    """

    def __init__(self, *, hash_key: bytes | None = None) -> None:
        self._hash_key = hash_key
        self._table = HashTable()
        self._hashed_count = 0
        self._reasons: list[str] = [""]
        self._reason_codes: dict[str, int] = {"": 0}
        self._odd_ids: dict[int, str] = {}

    @property
    def entry_count(self) -> int:
        """How many entries there are, with those whose end has passed and whose release has not come yet."""
        return self._table.count

    @property
    def size_bytes(self) -> int:
        """How much memory the entries take."""
        return self._table.size_bytes + sum(100 + len(odd) for odd in list(self._odd_ids.values()))

    @property
    def lacks_key(self) -> bool:
        """Whether there are entries that cannot be looked up, for want of the key."""
        return self._hashed_count > 0 and self._hash_key is None

    def apply(self, change: Change) -> None:
        """Take in the last word on a scope and recipient."""
        key = _key(change.scope, change.recipient)
        if change.listed is None:
            before, now = self._table.remove(key), 0
            self._odd_ids.pop(key, None)
        else:
            now, note = self._packed(key, change.listed)
            before = self._table.put(key, now, note)
        self._hashed_count += bool(now & _HASHED) - bool(before & _HASHED)

    def blocks(self, sender_domain: str, recipient: str, *, now_ms: int) -> bool:
        """Return whether mail of a sender domain to a recipient is blocked at a time."""
        limit = _value_at(now_ms)
        find = self._table.find
        for name in self._names(recipient):
            if find(hash((GLOBAL, name)) or 1) > limit or find(hash((sender_domain, name)) or 1) > limit:
                return True
        return False

    def entry(self, sender_domain: str, recipient: str, *, now_ms: int) -> BlockedBy | None:
        """Return the entry that blocks, the `global` one first; None when none does."""
        return self._entry(sender_domain, recipient, _value_at(now_ms))

    def entries(self, pairs: Iterable[tuple[str, str]], *, now_ms: int) -> list[BlockedBy | None]:
        """Return for each pair of sender domain and recipient what `entry` returns."""
        limit = _value_at(now_ms)
        return [self._entry(sender_domain, recipient, limit) for sender_domain, recipient in pairs]

    def _entry(self, sender_domain: str, recipient: str, limit: int) -> BlockedBy | None:
        for name in self._names(recipient):
            for scope in (GLOBAL, sender_domain):
                key = _key(scope, name)
                value = self._table.find(key)
                if value > limit:
                    return self._unpacked(scope, key, value)
        return None

    def has_any_in_force(self, *, now_ms: int) -> bool:
        """Return whether anybody is blocked at a time."""
        return self._table.has_value_above(_value_at(now_ms))

    def _names(self, recipient: str) -> tuple[str, ...]:
        """Return the forms under which a recipient may be listed, those that are in use."""
        canonical = canonical_text(recipient)
        if not self._hashed_count or self._hash_key is None:
            return (canonical,)
        hashed = hashed_recipient(canonical, self._hash_key)
        return (hashed,) if self._hashed_count == self._table.count else (hashed, canonical)

    def _packed(self, key: int, listed: Listed) -> tuple[int, bytes]:
        expires_ms = _NEVER_MS if listed.expires_ms is None else max(listed.expires_ms, 1)
        value = (
            (expires_ms << _EXPIRY_SHIFT) | self._reason_code(listed.reason) | (listed.is_hashed * _HASHED)
        )
        note = _uuid_bytes(listed.entry_id)
        if note is None:
            self._odd_ids[key] = listed.entry_id
            return value | _ODD_ID, _NO_NOTE
        self._odd_ids.pop(key, None)
        return value, note

    def _unpacked(self, scope: str, key: int, value: int) -> BlockedBy:
        expires_ms = value >> _EXPIRY_SHIFT
        entry_id = self._odd_ids.get(key, "") if value & _ODD_ID else str(UUID(bytes=self._table.note(key)))
        return BlockedBy(
            scope=scope,
            reason=self._reasons[value & _REASON_MASK],
            expires_at=None if expires_ms == _NEVER_MS else moment(expires_ms),
            entry_id=entry_id,
        )

    def _reason_code(self, reason: str) -> int:
        code = self._reason_codes.get(reason)
        if code is None:
            if len(self._reasons) > _REASON_MASK:
                return 0  # thousands of reasons are none of ours
            code = len(self._reasons)
            self._reasons.append(reason)
            self._reason_codes[reason] = code
        return code


def _key(scope: str, recipient: str) -> int:
    """Return a number that is neither of those which the table keeps for itself; a hash is never -1."""
    return hash((scope, recipient)) or 1


def _value_at(now_ms: int) -> int:
    """Return a number that exactly the values of entries whose end is later are above."""
    return (max(now_ms, 0) << _EXPIRY_SHIFT) | ((1 << _EXPIRY_SHIFT) - 1)


def _uuid_bytes(text: str) -> bytes | None:
    """Return the bytes of a UUID in its usual form, None for any other text."""
    return bytes.fromhex(text.replace("-", "")) if _is_uuid(text) else None
