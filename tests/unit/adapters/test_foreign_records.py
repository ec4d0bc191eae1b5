"""What anybody may write to topics that journals copy: it is refused with a reason, and the next record is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from postloop.adapters.blocklist_journal import BlocklistJournal
from postloop.adapters.dead_letter_journal import DeadLetterJournal
from postloop.adapters.journal import Refused
from postloop.adapters.webhook_store import WebhookJournal
from postloop.contracts.blocklist import insert_bytes
from postloop.contracts.deadletter import TOPIC_ID_HEADER, dead_letter
from postloop.contracts.field_errors import FieldError
from postloop.contracts.fields import moment
from postloop.domain.blocklist import DEFAULT_POLICY, Blocked, decide
from tests.unit.contracts.webhooks import alert
from tests.unit.domain.blocklist.histories import NOW_MS, hard

ALERT = {"schema_version": 1, **alert()}
FOREIGN = [
    pytest.param(b"", "not_json", id="nothing"),
    pytest.param(b"null", "not_an_object", id="null"),
    pytest.param(b"[]", "not_an_object", id="an array"),
    pytest.param(b"5", "not_an_object", id="a number"),
    pytest.param(b"NaN", "not_finite", id="NaN"),
    pytest.param(b"[" * 100_000, "too_deep", id="nested"),
    pytest.param(b'{"event_id":', "not_json", id="half of it"),
    pytest.param(b"\xff\xfe", "not_utf8", id="no UTF-8"),
    pytest.param(b'{"event_id":"\\ud800"}', "half_character", id="half a character"),
    pytest.param(None, "null_value", id="no value"),
]


@dataclass
class Record:
    topic: str
    value: bytes | None
    key: bytes | None = b"x"
    offset: int = 3
    partition: int = 0
    timestamp: int = NOW_MS
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Writer:
    """Takes rows as the tables do."""

    log: list[Any] = field(default_factory=list)
    entries: list[Any] = field(default_factory=list)
    commands: list[Any] = field(default_factory=list)
    guard: list[Any] = field(default_factory=list)
    alerts: list[Any] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name.removeprefix("write_")).extend

    @property
    def count(self) -> int:
        return sum(map(len, (self.log, self.entries, self.commands, self.guard, self.alerts)))


@dataclass
class Client:
    """Takes rows as ClickHouse does."""

    rows: dict[str, list[Any]] = field(default_factory=dict)

    def create_insert_context(self, table: str, names: list[str]) -> Any:
        return SimpleNamespace(column_types=[])

    def insert(self, table: str, rows: list[Any], **_: Any) -> None:
        self.rows.setdefault(table, []).extend(rows)


def an_insert() -> bytes:
    _, events = decide(None, hard(NOW_MS), DEFAULT_POLICY, NOW_MS)
    (blocked,) = [event for event in events if isinstance(event, Blocked)]
    return insert_bytes(blocked, form="clear")


def reasons(refused: Sequence[Refused]) -> list[str]:
    return [errors[0].code for _, errors in refused]


def blocklist(writer: Writer) -> BlocklistJournal:
    return BlocklistJournal(writer, prefix="", form="clear")  # type: ignore[arg-type]


@pytest.mark.parametrize("topic", ["blocklist.insert", "blocklist.expire", "delivery.alert"])
@pytest.mark.parametrize(("value", "code"), FOREIGN)
def test_a_foreign_record_is_refused_and_the_one_behind_it_stored(
    topic: str, value: bytes | None, code: str
) -> None:
    writer = Writer()
    records = [Record(topic, value), Record("blocklist.insert", an_insert())]
    refused = blocklist(writer).write(records)
    assert [record for record, _ in refused] == records[:1]
    assert reasons(refused) == [code]
    assert len(writer.log) == 1


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"figures": {"rate": float("nan")}}, id="NaN among the figures"),
        pytest.param({"started_at": None}, id="no beginning"),
        pytest.param({"event_id": 5}, id="a number for an id"),
    ],
)
def test_an_alert_with_a_foreign_field_is_refused(changed: dict[str, Any]) -> None:
    writer = Writer()
    refused = blocklist(writer).write([Record("delivery.alert", json.dumps({**ALERT, **changed}).encode())])
    assert len(refused) == 1
    assert not writer.count


def test_an_alert_from_a_clock_of_another_age_is_refused() -> None:
    refused = blocklist(Writer()).write(
        [Record("delivery.alert", json.dumps(ALERT).encode(), timestamp=10**17)]
    )
    assert reasons(refused) == ["invalid"]


@pytest.mark.parametrize("key", [b"e|global|a@b.test", b"a|c1", b"e|\xff", b"\xed\xa0\x80"])
@pytest.mark.parametrize(("value", "code"), [param for param in FOREIGN if param.values[0] is not None])
def test_a_foreign_record_of_the_changelog_is_refused(key: bytes, value: bytes, code: str) -> None:
    writer = Writer()
    assert len(blocklist(writer).write([Record("postloop.blocklist.changelog", value, key=key)])) == 1
    assert not writer.count


def test_an_entry_that_ends_in_no_year_is_refused() -> None:
    value = json.dumps(
        {"scope": "global", "recipient": "a@b.test", "deliveries": [{"at_ms": 10**30, "event_id": "e"}]}
    )
    record = Record("postloop.blocklist.changelog", value.encode(), key=b"e|global|a@b.test")
    assert len(blocklist(Writer()).write([record])) == 1


@pytest.mark.parametrize(("value", "code"), [param for param in FOREIGN if param.values[0] is not None])
@pytest.mark.parametrize("topic", ["postloop.webhook.endpoint", "postloop.webhook.attempt"])
def test_a_foreign_record_of_the_webhooks_is_refused(topic: str, value: bytes, code: str) -> None:
    client = Client()
    attempt = Record("postloop.webhook.attempt", b"{}")
    refused = WebhookJournal(client, prefix="").write([Record(topic, value), attempt])  # type: ignore[arg-type]
    assert [record.value for record, _ in refused] == [value]
    assert not client.rows


@pytest.mark.parametrize("key", [b"\xff", b"", None])
def test_an_endpoint_without_an_id_is_refused(key: bytes | None) -> None:
    record = Record("postloop.webhook.endpoint", None, key=key)
    assert len(WebhookJournal(Client(), prefix="").write([record])) == 1  # type: ignore[arg-type]


def letter(topic: str = "blocklist.command", **headers: str) -> Record:
    made = dead_letter(
        topic_id="",
        topic=topic,
        partition=2,
        offset=5,
        index=None,
        key=b"k",
        value=b"5",
        stage="decode",
        errors=(FieldError("not_an_object", "", "an event is an object: 5"),),
        at=moment(NOW_MS),
    ).of_topic("T1")
    return Record(
        "p.postloop.deadletter", made.to_bytes(), headers=[(k, v.encode()) for k, v in headers.items()]
    )


class Inner:
    """A journal of other topics."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def write(self, records: Sequence[Record]) -> Sequence[Refused]:
        self.seen += [record.topic for record in records]
        return []


def test_dead_letters_of_a_role_are_stored_by_its_journal_and_other_records_as_before() -> None:
    client, inner = Client(), Inner()
    journal = DeadLetterJournal(inner, client, prefix="p.")  # type: ignore[arg-type]
    journal.write([letter(**{TOPIC_ID_HEADER: "T1"}), Record("p.blocklist.insert", b"{}")])
    assert inner.seen == ["p.blocklist.insert"]
    (row,) = client.rows["dead_letters"]
    assert {"blocklist.command", "T1", 2, 5, "not_an_object"} <= set(row)


def test_dead_letters_that_who_made_them_stored_are_left_alone_and_foreign_ones_stop_nothing() -> None:
    client = Client()
    journal = DeadLetterJournal(Inner(), client, prefix="p.")  # type: ignore[arg-type]
    told = [(TOPIC_ID_HEADER, b"T1")]
    foreign = [
        Record("p.postloop.deadletter", value, headers=headers)
        for value in (None, b"null", b"{}", b"\xff")
        for headers in (told, [(TOPIC_ID_HEADER, b"\xff")])
    ]
    assert not journal.write([letter(), *foreign])
    assert not client.rows


def test_a_dead_letter_has_another_id_in_another_life_of_its_topic() -> None:
    first, second = (
        dead_letter(
            topic_id="",
            topic="blocklist.command",
            partition=0,
            offset=0,
            index=None,
            key=None,
            value=b"5",
            stage="decode",
            errors=(FieldError("not_an_object", "", "x"),),
            at=moment(NOW_MS),
        ).of_topic(name)
        for name in ("T1", "T2")
    )
    assert first.event_id != second.event_id
    assert first.of_topic("T2") == second
