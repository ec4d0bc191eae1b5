"""Bounces and deliveries of addresses that differ, as the input topics hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal
from zlib import crc32

from bench.workload import Record
from postloop.contracts.fields import rfc3339
from postloop.domain.event_types import EventType

_HARD = {
    "action": "failed",
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "diagnostic": "550 5.1.1 no mailbox of that name here, please check the address and try again",
    "smtp_command": "RCPT",
    "remote_host": "gmail-smtp-in.l.google.com",
    "attempt": 1,
}
_DELIVERED = {"smtp_response": "250 2.0.0 OK queued as 4Xc9", "remote_host": "gmail-smtp-in.l.google.com"}
# Odd, so that no two numbers below 2**32 meet: 2**32 by the golden ratio (Knuth, volume 3, section 6.4).
_SCATTER = 2_654_435_769


def address(name: str, number: int) -> str:
    """Return an address; two of a name and number are equal, all others differ.

    Successive numbers are as far from each other as strangers: files in the order of addresses are not filled in it.
    """
    return f"{name}.{number * _SCATTER % (1 << 32):08x}@gmail.com"


def hard_bounces(name: str, count: int, *, at: datetime, partitions: int) -> Iterator[Record]:
    """Yield a hard bounce for the recipient's own fault for each of `count` addresses, all of one moment."""
    for number in range(count):
        yield _record("bounce", address(name, number), at, partitions, f"b-{name}-{number}", _HARD)


def deliveries(name: str, count: int, *, at: datetime, partitions: int) -> Iterator[Record]:
    """Yield a delivery to each of `count` addresses, all of one moment."""
    for number in range(count):
        yield _record("delivery", address(name, number), at, partitions, f"d-{name}-{number}", _DELIVERED)


def mail(
    kind: Literal["bounce", "delivery"], name: str, *, at: datetime, partitions: int, **fields: str
) -> Record:
    """Return a hard bounce of, or a delivery to, one address, with some fields of its own."""
    own = {**(_HARD if kind == "bounce" else _DELIVERED), **fields}
    return _record(kind, f"{name}@gmail.com", at, partitions, f"{kind}-{name}", own)


def _record(
    kind: EventType, recipient: str, at: datetime, partitions: int, event_id: str, own: dict[str, Any]
) -> Record:
    event = {
        "event_id": event_id,
        "occurred_at": rfc3339(at),
        "account_id": "acc-001",
        "message_id": f"m-{event_id}",
        "sender_domain": "mail1.example",
        "recipient": recipient,
        "mail_class": "marketing",
        **own,
    }
    key = recipient.encode()
    value = json.dumps(event, separators=(",", ":")).encode()
    return Record(kind, crc32(key) % partitions, key, value, is_valid=True)
