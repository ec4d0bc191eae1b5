"""Entries in any number, as the changelog and the state topic hold them.

Deciding and writing each would take several times as long; so one entry is decided, and the others are its bytes with
another address, other ids and another end. A test compares them with what the rules would have made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bench.blocklist.events import address
from bench.stack import PREFIX, Addressed
from postloop.adapters.blocklist_policy import recipient_hash
from postloop.contracts.blocklist import insert_bytes, state_key
from postloop.contracts.blocklist_state import (
    Restored,
    entry_key,
    entry_to_bytes,
    restored_to_bytes,
)
from postloop.contracts.changelog import RESTORED_KEY
from postloop.contracts.fields import rfc3339_of
from postloop.domain.blocklist import DEFAULT_POLICY, GLOBAL, Blocked, Evidence, Reported, decide
from postloop.domain.event_types import BLOCKLIST_CHANGELOG_TOPIC, BLOCKLIST_STATE_TOPIC, prefixed

_RECIPIENT: Final = "RECIPIENT"
_BOUNCE_ID: Final = "BOUNCE-ID"


class Made(NamedTuple):
    """One entry: its address, its value in the changelog, and its value in `blocklist.state`."""

    recipient: str
    entry: bytes
    state: bytes


def made_entries(name: str, count: int, *, bounced_ms: int) -> Iterator[Made]:
    """Yield entries of hard bounces, one a millisecond from `bounced_ms` on, published at `bounced_ms`."""
    entry_pieces, state_pieces = _templates(bounced_ms)
    for number in range(count):
        recipient, at_ms = address(name, number), bounced_ms + number
        filled = {
            _RECIPIENT: recipient,
            _BOUNCE_ID: f"b-{name}-{number}",
            _ENTRY_ID: f"{number:08x}-0000-5000-8000-000000000001",
            _EVENT_ID: f"{number:08x}-0000-5000-8000-000000000002",
            _STARTS: str(at_ms),
            _EXPIRES: str(at_ms + DEFAULT_POLICY.lease_ms),
            _STARTS_AT: rfc3339_of(at_ms),
            _EXPIRES_AT: rfc3339_of(at_ms + DEFAULT_POLICY.lease_ms),
        }
        yield Made(recipient, _filled(entry_pieces, filled), _filled(state_pieces, filled))


_ENTRY_ID: Final = "ENTRY-ID"
_EVENT_ID: Final = "EVENT-ID"
_STARTS: Final = "STARTS-MS"
_EXPIRES: Final = "EXPIRES-MS"
_STARTS_AT: Final = "STARTS-AT"
_EXPIRES_AT: Final = "EXPIRES-AT"


def _templates(bounced_ms: int) -> tuple[list[str], list[str]]:
    """Return the texts of an entry and its state, cut at what differs: text, name, text, name, ..., text."""
    starts_ms = bounced_ms - 1  # a number that is found nowhere else in the texts
    evidence = Evidence(
        kind="hard",
        at_ms=starts_ms,
        account_id="acc-001",
        reason="user_unknown",
        event_id=_BOUNCE_ID,
        smtp_text="550 5.1.1 no mailbox of that name here, please check the address and try again",
        rule="smtp.unknown_user",
        rule_version="2026-11-01",
    )
    signal = Reported(scope=GLOBAL, recipient=_RECIPIENT, provider="gmail", evidence=evidence)
    entry, (change,) = decide(None, signal, DEFAULT_POLICY, bounced_ms)
    assert isinstance(change, Blocked)
    expires_ms = starts_ms + DEFAULT_POLICY.lease_ms
    names = {
        change.told.entry_id: _ENTRY_ID,
        change.told.event_id: _EVENT_ID,
        str(starts_ms): _STARTS,
        str(expires_ms): _EXPIRES,
        rfc3339_of(starts_ms): _STARTS_AT,
        rfc3339_of(expires_ms): _EXPIRES_AT,
        _RECIPIENT: _RECIPIENT,
        _BOUNCE_ID: _BOUNCE_ID,
    }
    return (
        _cut(entry_to_bytes(entry).decode(), names),
        _cut(insert_bytes(change, form="clear").decode(), names),
    )


def _cut(text: str, names: dict[str, str]) -> list[str]:
    for found, name in names.items():
        text = text.replace(found, f"\0{name}\0")
    return text.split("\0")


def _filled(pieces: list[str], values: dict[str, str]) -> bytes:
    return "".join(values[piece] if place % 2 else piece for place, piece in enumerate(pieces)).encode()


def changelog(name: str, count: int, *, bounced_ms: int, partitions: int) -> Iterator[Addressed]:
    """Yield the changelog of a worker that knows `count` entries, with the marks that say it is whole."""
    topic = prefixed(BLOCKLIST_CHANGELOG_TOPIC, prefix=PREFIX)
    mark = restored_to_bytes(Restored(partitions=partitions, entries=0, source="clickhouse"))
    for partition in range(partitions):
        yield Addressed(topic, partition, RESTORED_KEY.encode(), mark)
    for made in made_entries(name, count, bounced_ms=bounced_ms):
        partition = recipient_hash(made.recipient) % partitions
        yield Addressed(topic, partition, entry_key(GLOBAL, made.recipient).encode(), made.entry)


def state(name: str, count: int, *, bounced_ms: int, partitions: int) -> Iterator[Addressed]:
    """Yield the records of `blocklist.state` for `count` entries."""
    topic = prefixed(BLOCKLIST_STATE_TOPIC, prefix=PREFIX)
    for made in made_entries(name, count, bounced_ms=bounced_ms):
        partition = recipient_hash(made.recipient) % partitions
        yield Addressed(topic, partition, state_key(GLOBAL, made.recipient).encode(), made.state)
