"""Columns read by Arrow are the columns of the contract, whatever the bytes are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from postloop.adapters.event_columns import decoder, reading
from postloop.adapters.event_columns.decoder import ColumnDecoder
from postloop.adapters.event_table import event_columns
from postloop.contracts.decode import Limits, decode_batch
from postloop.domain.event_types import EVENT_TYPES, EventType
from tests.unit.contracts.conftest import NOW, make_record

LIMITS = Limits(retention=timedelta(days=30))
_DEFAULTS: dict[str, Any] = {"tags": [], "smtp_code": 0, "attempt": 0, "sent_at": None}


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows with what ClickHouse makes of absent values."""
    return [
        {name: value for name, value in row.items() if value not in (None, _DEFAULTS.get(name, ""))}
        for row in table.to_pylist()
    ]


def assert_same(kind: EventType, values: Sequence[bytes | None], *, by: ColumnDecoder | None = None) -> None:
    expected = decode_batch(kind, values, now=NOW, limits=LIMITS)
    found = (by or ColumnDecoder(kind, LIMITS)).decode(values, now=NOW)
    assert rows(found.table) == rows(event_columns(kind, expected.events))
    assert found.event_ids == [event["event_id"] for event in expected.events]
    assert (found.records.tolist(), found.indexes.tolist()) == (expected.records, expected.indexes)
    assert found.errors == expected.errors


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a single record be read by columns, so that few records meet every road."""
    monkeypatch.setattr(reading, "FEWEST", 1)


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "",
        "a\x00b",
        'quo"te',
        "back\\slash",
        "line\nbreak",
        "é" * 70,
        "x" * 64,
        "x" * 65,
        "x" * 9_000,
        "Information",
    ]
)
times = st.sampled_from(
    [
        "2026-11-23T11:59:00Z",
        "2026-11-23T11:59:00.1Z",
        "2026-11-23T11:59:00.999999Z",
        "2026-11-23T11:59:00.1234567Z",
        "2026-11-23T11:59:00.5+02:00",
        "2026-11-23T23:59:59-11:30",
        "2026-11-23T11:59:00+23:59",
        "2026-11-23t11:59:00z",
        "2026-11-23 11:59:00Z",
        "2026-11-23T11:59:00",
        "2026-11-23",
        "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T11:59:60Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.9999Z",
        "2000-01-01T00:00:00Z",
        "2026-10-24T11:59:59Z",
        "2026-11-24T12:00:00.001Z",
        "9999-12-31T23:59:59Z",
        "٢٠٢٦-11-23T11:59:00Z",
    ]
) | st.datetimes(datetime(2026, 10, 1), datetime(2026, 12, 1)).map(lambda moment: f"{moment.isoformat()}Z")
recipients = (
    st.from_regex(r"[A-Za-z.+]{1,6}@[A-Za-z-]{1,4}\.(com|Example|co\.jp)", fullmatch=True)
    | st.sampled_from(
        [
            "ann@gmail.com",
            "Ann.B@Yahoo.CO.JP",
            " ann@gmail.com ",
            "ann@b@c.example",
            "ann@münchen.example",
            "ann@xn--mnchen-3ya.example",
            "ann@a--b.example",
            "ann@1.2.3.4",
            "ann@[192.0.2.1]",
            '"a b"@c.example',
            "ann@localhost",
            "a" * 250 + "@b.example",
            ".ann@b.example",
            "redacted@b.example",
            "xxxxxxx@b.example",
            "xxxxxavier@b.example",
            "***@b.example",
            "[redacted]",
            "no address",
            "İ@b.example",
            "@",
        ]
    )
    | texts
)
scalars = st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats() | texts
tags = st.lists(texts, max_size=12) | st.sampled_from([["x" * 65], ["a"] * 11, [None], [1], [["a"]], "a"])
fields: dict[str, st.SearchStrategy[Any]] = {
    "event_id": texts,
    "occurred_at": times,
    "sent_at": times,
    "recipient": recipients,
    "account_id": texts,
    "mail_class": st.sampled_from(["marketing", "unknown", "newsletter", ""]),
    "ip_pool_kind": st.sampled_from(["shared", "dedicated", "other"]),
    "schema_version": st.sampled_from([1, 2, 1.0, True, "1", 10**30]),
    "tags": tags,
    "status": st.sampled_from(["accepted", "rejected", "maybe", ""]),
    "error_code": st.sampled_from(["blocklisted", "quota", "3014"]),
    "error_message": texts | st.sampled_from(["template not approved", "y" * 9_000 + " secret key"]),
    "action": st.sampled_from(["failed", "delayed"]),
    "smtp_code": st.integers(-1, 1_000),
    "attempt": st.integers(0, 70_000),
    "enhanced_code": st.sampled_from(["5.1.1", "4.2.2"]),
    "user_agent": st.sampled_from(["Mozilla/5.0", "(via ggpht.com GoogleImageProxy)", "Thunderbird"]),
    "feedback_type": st.sampled_from(["abuse", "not-spam"]),
    "diagnostic": texts
    | st.sampled_from(["No such user", "mailbox full", "looks like spam", "y" * 9_000 + " no such user"]),
    "smtp_command": st.sampled_from(["RCPT", "DATA", "CONNECT"]),
    "remote_host": st.sampled_from(["mx1.shop.example", "gmail-smtp-in.l.google.com", "x" * 300]),
    "colour": st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
}
changes = st.fixed_dictionaries({}, optional={name: strategy | scalars for name, strategy in fields.items()})
ordinary = st.fixed_dictionaries(
    {"recipient": st.sampled_from(["ann@gmail.com", "Bob@Shop.example"])},
    optional={
        name: fields[name]
        for name in ("sent_at", "tags", "user_agent", "smtp_code", "status", "diagnostic", "error_message")
    },
)
objects = (changes | ordinary).map(lambda found: make_record(**found))
raw = st.binary(max_size=30) | st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"{",
        b"}",
        b'{"a":',
        b"{}{}",
        b'{"event_id":"a"}\n{"event_id":"b"}',
        b'{"event_id":"\xff"}',
        b'{"event_id":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":Inf}',
        b'{"a":' + b"[" * 25 + b"]" * 25 + b"}",
        make_record() + b" ",
        b"\n" + make_record(),
        b"[" + make_record() + b"," + make_record(event_id="e-2") + b"]",
        b"[" + make_record() + b',{"bad":1}]',
        make_record()[:-1] + b',"colour":Inf}',
        make_record()[:-1] + b',"colour":-Infinity}',
        make_record()[:-1] + b',"colour":' + b"[" * 25 + b"]" * 25 + b"}",
        make_record()[:-1] + b',"schema_version":null}',
        make_record()[:-1] + b',"\\u0073chema_version":null}',
        make_record()[:-1] + b',"recipient":"twice@b.example"}',
        make_record()[:-1] + b',"tags":null,"tags":["a"]}',
        make_record().replace(b"{", b"{\n", 1),
        make_record()[:-1] + b'}{"event_id":"e-9"}',
        b"\xef\xbb\xbf" + make_record(),
    ]
)


@settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(EVENT_TYPES), st.lists(objects | raw | st.none(), max_size=12))
@example("send", [b'{"a":', b'{"b":1}', b"{}{}"])
@example("send", [make_record(), make_record()[:-1] + b'}{"event_id":"e-9"}', b""])
@example("delivery", [make_record(schema_version=1), make_record()[:-1] + b',"schema_version":null}'])
def test_any_records_give_the_events_and_errors_of_the_contract(
    short_stretches: None, kind: EventType, values: list[bytes | None]
) -> None:
    assert_same(kind, values)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(EVENT_TYPES), st.lists(st.lists(ordinary, max_size=8), min_size=2, max_size=4))
def test_what_was_decoded_before_changes_nothing(
    short_stretches: None, kind: EventType, batches: list[list[dict[str, Any]]]
) -> None:
    by = ColumnDecoder(kind, LIMITS)
    for number, batch in enumerate(batches):
        extra = {"colour": "red"} if number % 2 else {}
        assert_same(kind, [make_record(**found, **extra) for found in batch], by=by)


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the records that are decoded one by one."""
    counts: list[int] = []

    def counting(kind: EventType, values: Sequence[bytes | None], **named: Any) -> Any:
        counts.append(len(values))
        return decode_batch(kind, values, **named)

    monkeypatch.setattr(decoder, "decode_batch", counting)
    return counts


@pytest.mark.parametrize("kind", EVENT_TYPES)
@pytest.mark.parametrize("extra", [{}, {"colour": "red"}], ids=["known fields", "a field of its own"])
def test_ordinary_records_are_all_read_by_columns(
    monkeypatch: pytest.MonkeyPatch, kind: EventType, extra: dict[str, str]
) -> None:
    counts = one_by_one(monkeypatch)
    values = [make_record(event_id=f"e-{n}", sent_at="2026-11-23T11:58:00Z", **extra) for n in range(200)]
    assert len(ColumnDecoder(kind, LIMITS).decode(values, now=NOW)) == 200
    assert counts == []


def test_one_bad_record_sends_only_its_neighbours_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = one_by_one(monkeypatch)
    values: list[bytes | None] = [make_record(event_id=f"e-{n}") for n in range(1_000)]
    values[700] = b'{"event_id":"broken","occurred_at":}'
    found = ColumnDecoder("send", LIMITS).decode(values, now=NOW)
    assert (len(found), [place for place, _ in found.errors]) == (999, [700])
    assert sum(counts) <= 2 * reading.FEWEST


def test_rows_that_break_a_rule_are_decoded_one_by_one_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = one_by_one(monkeypatch)
    values: list[bytes | None] = [make_record(event_id=f"e-{n}") for n in range(1_000)]
    for place in (3, 500, 999):
        values[place] = make_record(mail_class="newsletter")
    found = ColumnDecoder("send", LIMITS).decode(values, now=NOW)
    assert (len(found), [place for place, _ in found.errors], counts) == (997, [3, 500, 999], [3])


def test_records_written_over_several_lines_are_read() -> None:
    values = [json.dumps(json.loads(make_record(event_id=f"e-{n}")), indent=1).encode() for n in range(70)]
    found = ColumnDecoder("send", LIMITS).decode(values, now=NOW)
    assert found.event_ids == [f"e-{n}" for n in range(70)]


def test_bounces_read_by_columns_have_the_verdicts_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = one_by_one(monkeypatch)
    replies = ["No such user", "mailbox full", "looks like spam", "", "x" * 9_000 + " no such user"]
    values = [
        make_record(
            event_id=f"e-{n}", smtp_code=550, diagnostic=replies[n % 5], recipient=f"u{n}@b{n % 3}.example"
        )
        for n in range(200)
    ]
    found = ColumnDecoder("bounce", LIMITS).decode(values, now=NOW)
    assert counts == []
    assert set(found.table.column("reason").to_pylist()) == {
        "user_unknown",
        "mailbox_full",
        "spam_content",
        "unknown",
    }
    assert_same("bounce", values)
