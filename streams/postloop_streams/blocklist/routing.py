"""From events to signals, each in the record of the partition that owns its address."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from postloop.adapters.blocklist_policy import RecipientKey, recipient_hash
from postloop.adapters.event_columns.decoder import ColumnDecoder
from postloop.contracts.address import canonical_recipient
from postloop.contracts.blocklist import BlocklistCommandV1
from postloop.contracts.blocklist_state import signals_to_bytes
from postloop.contracts.decode import Limits
from postloop.contracts.fields import milliseconds
from postloop.domain.blocklist import (
    GLOBAL,
    HOLD_COMMANDS,
    Delivered,
    Evidence,
    Ordered,
    Policy,
    Reported,
    Signal,
    bounce_evidence,
)
from postloop.domain.event_types import BLOCKLIST_EVENT_TYPES, EventType
from postloop.domain.incident import Counted, is_guarded
from postloop_streams.blocklist.outcomes import OutcomeCounts, bounce_counts, delivery_counts

# Of one record: far below what a topic takes, for signals carry what servers said.
MAX_SIGNALS: Final = 200

_COMMON: Final = ("event_id", "occurred_at", "account_id", "sender_domain", "recipient", "mailbox_provider")
_BOUNCE: Final = (
    "outcome",
    "reason",
    "hard",
    "fault",
    "rule",
    "rules_version",
    "smtp_code",
    "enhanced_code",
    "diagnostic",
)


class Routed(NamedTuple):
    """What records say of addresses, and how many outcomes they are."""

    signals: list[Signal]
    outcomes: OutcomeCounts


class Router:
    """Reads events as the recorder does; what is invalid becomes a dead letter there and is passed over here."""

    def __init__(self, *, limits: Limits, policy: Policy, key: RecipientKey) -> None:
        self._decoders = {kind: ColumnDecoder(kind, limits) for kind in BLOCKLIST_EVENT_TYPES}
        self._policy = policy
        self._key = key
        self._make: dict[EventType, Callable[[Any], Iterator[Signal]]] = {
            "bounce": self._bounces,
            "complaint": self._complaints,
            "unsubscribe": self._unsubscribes,
            "delivery": self._deliveries,
        }

    def read(self, event_type: EventType, values: Sequence[bytes | None], *, now: datetime) -> Routed:
        """Return what some records say, in their order."""
        table = self._decoders[event_type].decode(values, now=now).table
        if not len(table):
            return Routed([], {})
        # A malformed or blacked out address can neither be blocked nor mailed.
        valid = table.filter(table.column("recipient_valid"))
        count = _COUNT_OF.get(event_type)
        return Routed(list(self._make[event_type](valid)), count(valid) if count else {})

    def order(self, command: BlocklistCommandV1, *, owns_domain: bool) -> Ordered | None:
        """Return the signal of a command, None when its recipient is none."""
        recipient = self._recipient(command)
        if recipient is None:
            return None
        return Ordered(
            scope=command.scope,
            recipient=recipient,
            command_id=command.command_id,
            command=command.command,
            actor_kind=command.actor.kind,
            actor_id=command.actor.id,
            reason=command.reason,
            requested_ms=milliseconds(command.requested_at),
            owns_domain=owns_domain,
            until_ms=None if command.expires_at is None else milliseconds(command.expires_at),
        )

    def _recipient(self, command: BlocklistCommandV1) -> str | None:
        if command.command in HOLD_COMMANDS:
            return command.recipient if is_guarded(command.recipient) else None
        if self.is_hash(command.recipient):
            return command.recipient
        recipient = canonical_recipient(command.recipient)
        return self._key.of(recipient.canonical) if recipient.valid else None

    def is_hash(self, text: str) -> bool:
        """Return whether a text is an address in the hashed form that is in use."""
        return self._key.form != "clear" and len(text) == _HASH_CHARS and set(text) <= _HEX

    def _bounces(self, table: Any) -> Iterator[Signal]:
        for row in _rows(table, _COMMON + _BOUNCE):
            evidence = bounce_evidence(
                outcome=row["outcome"],
                reason=row["reason"],
                hard=row["hard"],
                fault=row["fault"],
                at_ms=milliseconds(row["occurred_at"]),
                account_id=row["account_id"],
                event_id=row["event_id"],
                smtp_text=self._key.text(_said(row)),
                rule=row["rule"],
                rule_version=row["rules_version"],
                soft_reasons=self._policy.soft_reasons,
            )
            if evidence is not None:
                yield self._reported(row, GLOBAL, evidence)

    def _complaints(self, table: Any) -> Iterator[Signal]:
        for row in _rows(table, (*_COMMON, "outcome")):
            if row["outcome"] == "complaint" and is_scope(row["sender_domain"]):
                yield self._reported(row, row["sender_domain"], _said_by_recipient(row, "complaint"))

    def _unsubscribes(self, table: Any) -> Iterator[Signal]:
        for row in _rows(table, _COMMON):
            if is_scope(row["sender_domain"]):
                yield self._reported(row, row["sender_domain"], _said_by_recipient(row, "unsubscribe"))

    def _deliveries(self, table: Any) -> Iterator[Signal]:
        for row in _rows(table, ("recipient", "occurred_at", "event_id")):
            yield Delivered(
                recipient=self._key.of(row["recipient"]),
                at_ms=milliseconds(row["occurred_at"]),
                event_id=row["event_id"],
            )

    def _reported(self, row: dict[str, Any], scope: str, evidence: Evidence) -> Reported:
        return Reported(
            scope=scope,
            recipient=self._key.of(row["recipient"]),
            provider=row["mailbox_provider"],
            evidence=evidence,
        )


_COUNT_OF: Final[dict[EventType, Callable[[Any], OutcomeCounts]]] = {
    "bounce": bounce_counts,
    "delivery": delivery_counts,
}
_HASH_CHARS: Final = 64
_HEX: Final = frozenset("0123456789abcdef")


def is_scope(sender_domain: str) -> bool:
    """Return whether a sender domain can be a scope.

    The word `global` would block an address for everybody, and the bar parts scope and address in keys: neither
    can stand in the name of a host.
    """
    return sender_domain != GLOBAL and "|" not in sender_domain


def records_of(signals: Sequence[Signal], *, partitions: int) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, value) of the records that carry the signals to the owners of their addresses."""
    by_partition: defaultdict[int, list[Signal]] = defaultdict(list)
    for signal in signals:
        by_partition[recipient_hash(signal.recipient) % partitions].append(signal)
    for partition, part in by_partition.items():
        for first in range(0, len(part), MAX_SIGNALS):
            yield partition, signals_to_bytes(part[first : first + MAX_SIGNALS])


def counts_of(counted: Sequence[Counted], *, partitions: int) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, value) of the records that carry counts to those who decide for their providers."""
    for one in counted:
        yield recipient_hash(one.provider) % partitions, signals_to_bytes([one])


def _rows(table: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    columns = [table.column(name).to_pylist() for name in names]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _said(row: dict[str, Any]) -> str:
    """Return what the server said, with the codes where the text does not begin with them."""
    code = str(row["smtp_code"] or "")
    text = row["diagnostic"] or ""
    if code and code not in text[:64]:
        text = " ".join(part for part in (code, row["enhanced_code"] or "", text) if part)
    return str(text)


def _said_by_recipient(row: dict[str, Any], kind: Any) -> Evidence:
    return Evidence(
        kind=kind,
        at_ms=milliseconds(row["occurred_at"]),
        account_id=row["account_id"],
        reason=kind,
        event_id=row["event_id"],
    )
