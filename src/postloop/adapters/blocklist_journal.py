"""Records of the blocklist's topics -> rows of ClickHouse: the log of changes, the entries, the audit of commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.blocklist_store import (
    AlertRow,
    BlocklistWriter,
    CommandRow,
    EntryRow,
    GuardRow,
    LogRow,
)
from postloop.adapters.journal import Record, Refused, read_each, version_of
from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.blocklist import BlocklistExpireV1, BlocklistInsertV1, RecipientForm, split_state_key
from postloop.contracts.blocklist_state import (
    ANSWER_PREFIX,
    ENTRY_PREFIX,
    GUARD_PREFIXES,
    HOLDS_PREFIX,
    answer_from_bytes,
    entry_from_bytes,
    owner_of,
)
from postloop.contracts.changelog import RESTORED_HEADER
from postloop.contracts.fields import moment
from postloop.domain.event_types import (
    BLOCKLIST_CHANGELOG_TOPIC,
    BLOCKLIST_EXPIRE_TOPIC,
    BLOCKLIST_INSERT_TOPIC,
    DELIVERY_ALERT_TOPIC,
    prefixed,
)


@dataclass
class _Rows:
    """Rows by table; of entries and what the guard keeps the last word on each key."""

    changes: list[LogRow] = field(default_factory=list)
    entries: dict[str, EntryRow] = field(default_factory=dict)
    commands: list[CommandRow] = field(default_factory=list)
    guarded: dict[str, GuardRow] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)


class BlocklistJournal:
    """Writes records in the order in which they come.

    Args:
        prefix: Of the topics.
        form: Of the addresses in the changelog, which does not say.
    """

    def __init__(self, writer: BlocklistWriter, *, prefix: str, form: RecipientForm) -> None:
        self._writer = writer
        self._form = form
        self._insert = prefixed(BLOCKLIST_INSERT_TOPIC, prefix=prefix)
        self._expire = prefixed(BLOCKLIST_EXPIRE_TOPIC, prefix=prefix)
        self._changelog = prefixed(BLOCKLIST_CHANGELOG_TOPIC, prefix=prefix)
        self._alert = prefixed(DELIVERY_ALERT_TOPIC, prefix=prefix)

    def write(self, records: Sequence[Record]) -> Sequence[Refused]:
        """Store records, and return those that are none; a repeat replaces what was stored before.

        Raises:
            UnavailableError, RefusedError: ClickHouse is away or refuses.
        """
        rows = _Rows()
        changes = [record for record in records if record.topic == self._changelog]
        published = [record for record in records if record.topic != self._changelog]
        refused = read_each(changes, partial(self._of_changelog, rows))
        writer = self._writer
        # Who asks whether an address is blocked asks the entries: they are there before the log is even read.
        writer.write_entries(list(rows.entries.values()))
        refused += read_each(published, partial(self._published, rows))
        writer.write_log(rows.changes)
        writer.write_commands(rows.commands)
        writer.write_guard(list(rows.guarded.values()))
        writer.write_alerts(rows.alerts)
        return refused

    def _published(self, rows: _Rows, record: Record) -> None:
        value = record.value or b""
        if record.topic == self._insert:
            rows.changes.append(_inserted(BlocklistInsertV1.model_validate_json(value)))
        elif record.topic == self._expire:
            rows.changes.append(_expired(BlocklistExpireV1.model_validate_json(value)))
        elif record.topic == self._alert:
            rows.alerts.append(_alert(DeliveryAlertV1.model_validate_json(value), record))

    def _of_changelog(self, rows: _Rows, record: Record) -> None:
        if RESTORED_HEADER in record.headers:
            return  # from here: written again it would replace what changed since
        key, value = (record.key or b"").decode(), record.value
        version = version_of(record)
        if key.startswith(ENTRY_PREFIX):
            rows.entries[key] = _deleted(key, version) if value is None else self._entry(value, version)
        elif key.startswith(GUARD_PREFIXES):
            rows.guarded[key] = _guarded(key, value, version)
        elif key.startswith(ANSWER_PREFIX) and value is not None:
            rows.commands.append(_command(value))

    def _entry(self, value: bytes, version: int) -> EntryRow:
        entry = entry_from_bytes(value)
        told = entry.told
        block = told.block if told is not None else None
        return EntryRow(
            recipient_hash=recipient_hash(entry.recipient),
            scope=entry.scope,
            recipient=entry.recipient,
            version=version,
            value=value.decode(),
            is_deleted=False,
            is_active=told is not None,
            entry_id=told.entry_id if told is not None else "",
            reason=block.reason if block else "",
            cause_account_ids=block.cause_account_ids if block else (),
            mailbox_provider=entry.provider,
            recipient_form=self._form,
            smtp_text=block.smtp_text if block else "",
            rule=block.rule if block else "",
            rule_version=block.rule_version if block else "",
            source_event_ids=block.source_event_ids if block else (),
            starts_at=moment(block.starts_ms) if block else None,
            inserted_at=moment(told.inserted_ms) if told is not None else None,
            expires_at=moment(block.expires_ms) if block and block.expires_ms is not None else None,
            last_delivery_at=moment(entry.deliveries[-1].at_ms) if entry.deliveries else None,
        )


def _deleted(key: str, version: int) -> EntryRow:
    scope, recipient = split_state_key(key.removeprefix(ENTRY_PREFIX))
    return EntryRow(
        recipient_hash=recipient_hash(recipient),
        scope=scope,
        recipient=recipient,
        version=version,
        value="",
        is_deleted=True,
        is_active=False,
    )


def _inserted(event: BlocklistInsertV1) -> LogRow:
    return _logged(event, change=event.change, cause="", at=event.changed_at)


def _expired(event: BlocklistExpireV1) -> LogRow:
    return _logged(event, change="expired", cause=event.cause, at=event.expired_at)


def _logged(event: BlocklistInsertV1, *, change: str, cause: str, at: datetime) -> LogRow:
    return LogRow(
        event_id=event.event_id,
        change=change,
        entry_id=event.entry_id,
        scope=event.scope,
        recipient=event.recipient,
        recipient_form=event.recipient_form,
        mailbox_provider=event.mailbox_provider,
        reason=event.reason,
        cause_account_ids=event.cause_account_ids,
        source_event_ids=event.evidence.source_event_ids,
        smtp_text=event.evidence.smtp_text,
        rule=event.evidence.rule,
        rule_version=event.evidence.rule_version,
        starts_at=event.starts_at,
        inserted_at=event.inserted_at,
        expires_at=event.expires_at,
        cause=cause,
        at=at,
    )


def _command(value: bytes) -> CommandRow:
    answer = answer_from_bytes(value)
    order = answer.order
    return CommandRow(
        command_id=order.command_id,
        command=order.command,
        scope=order.scope,
        recipient=order.recipient,
        actor_kind=order.actor_kind,
        actor_id=order.actor_id,
        reason=order.reason,
        requested_at=moment(order.requested_ms),
        answered_at=moment(answer.answered_ms),
        outcome=answer.outcome,
        code=answer.code,
        text=answer.text,
        event_ids=answer.event_ids,
    )


def _guarded(key: str, value: bytes | None, version: int) -> GuardRow:
    return GuardRow(
        key=key,
        owner_hash=0 if key.startswith(HOLDS_PREFIX) else recipient_hash(owner_of(key)),
        version=version,
        value="" if value is None else value.decode(),
        is_deleted=value is None,
    )


def _alert(event: DeliveryAlertV1, record: Record) -> AlertRow:
    return AlertRow(
        event_id=event.event_id,
        kind=event.kind,
        account_id=event.account_id or "",
        sender_domain=event.sender_domain or "",
        mailbox_provider=event.mailbox_provider or "",
        started_at=event.started_at,
        ended_at=event.ended_at,
        figures=json.dumps(event.figures, allow_nan=False),
        text=event.text,
        published_at=moment(record.timestamp),
    )
