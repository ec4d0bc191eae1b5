"""Columns: what is stored of an event."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.decode import decode_batch
from postloop.contracts.rows import DERIVED_FROM, EVENT_COLUMNS, MAX_TEXT_CHARS, columns_of, derived_of
from postloop.domain.bounce import RULES_VERSION, Bounce, classify
from postloop.domain.event_types import EVENT_TYPES, OUTCOMES, EventType
from tests.unit.contracts.conftest import NOW, make_record


def columns(kind: EventType, *values: bytes) -> dict[str, list[Any]]:
    batch = decode_batch(kind, values, now=NOW)
    assert batch.errors == []
    return columns_of(kind, batch.events)


def row(kind: EventType, **fields: Any) -> dict[str, Any]:
    return {name: column[0] for name, column in columns(kind, make_record(**fields)).items()}


def test_the_envelope_is_stored_with_its_canonical_recipient() -> None:
    found = row("delivery", recipient=" Ada@Gmail.COM", tags=["a", "b"], sent_at="2026-11-23T11:58:00+00:00")
    expected = {
        "event_id": "e-1",
        "occurred_at": datetime(2026, 11, 23, 11, 59, 0, 250_000, tzinfo=UTC),
        "account_id": "acme",
        "message_id": "m-1@example.com",
        "sender_domain": "news.example.com",
        "recipient": "ada@gmail.com",
        "recipient_raw": " Ada@Gmail.COM",
        "recipient_domain": "gmail.com",
        "recipient_valid": True,
        "mailbox_provider": "gmail",
        "reports_complaints": False,
        "schema_version": 1,
        "mail_class": "unknown",
        "ip_pool": "",
        "ip_pool_kind": "unknown",
        "sent_at": datetime(2026, 11, 23, 11, 58, tzinfo=UTC),
        "campaign_id": "",
        "template_id": "",
        "tags": ("a", "b"),
        "outcome": "delivered",
        "smtp_response": "",
        "remote_host": "",
        "source_ip": "",
    }
    assert found == expected


def test_a_malformed_recipient_is_stored_as_given_and_marked() -> None:
    found = row("bounce", recipient="Bob <B@Example.COM")
    assert (found["recipient"], found["recipient_valid"]) == ("Bob <B@Example.COM", False)
    assert (found["recipient_domain"], found["mailbox_provider"]) == ("example.com", "corporate")


@pytest.mark.parametrize(
    ("kind", "fields", "outcome"),
    [
        ("send", {}, "accepted"),
        ("send", {"status": None}, "accepted"),
        ("send", {"status": "rejected", "error_code": "quota"}, "rejected"),
        ("send", {"status": "rejected", "error_code": "blocklisted"}, "suppressed"),
        ("delivery", {}, "delivered"),
        ("bounce", {"smtp_code": 550, "diagnostic": "No such user"}, "hard_bounce"),
        ("bounce", {"smtp_code": 550, "diagnostic": "This looks like spam"}, "soft_bounce"),
        ("bounce", {"action": "delayed", "diagnostic": "No such user"}, "deferral"),
        ("bounce", {"smtp_code": 421}, "soft_bounce"),
        ("bounce", {}, "soft_bounce"),
        ("bounce", {"action": "delayed", "smtp_code": 421}, "deferral"),
        ("complaint", {"feedback_type": "abuse"}, "complaint"),
        ("complaint", {"feedback_type": "not-spam"}, "not_spam"),
        ("open", {}, "open"),
        ("unsubscribe", {"method": "by-phone"}, "unsubscribe"),
    ],
)
def test_the_outcome_of_an_event(kind: EventType, fields: dict[str, Any], outcome: str) -> None:
    assert row(kind, **fields)["outcome"] == outcome


def test_a_bounce_is_stored_with_its_verdict() -> None:
    found = row("bounce", smtp_code=550, enhanced_code="5.1.1", diagnostic="No such user")
    verdict = classify(Bounce(550, "5.1.1", "No such user", recipient_domain="gmail.com", action="failed"))
    assert (found["reason"], found["hard"], found["fault"]) == ("user_unknown", True, "recipient")
    assert (found["rule"], found["confidence"]) == (verdict.rule, verdict.confidence)
    assert found["rules_version"] == RULES_VERSION


def test_a_deferral_has_a_reason_and_is_not_hard() -> None:
    found = row("bounce", action="delayed", smtp_code=550, diagnostic="No such user")
    assert (found["reason"], found["hard"]) == ("user_unknown", False)


@given(
    diagnostic=st.text(max_size=40) | st.just("é" * MAX_TEXT_CHARS + " no such user"),
    smtp_code=st.sampled_from([0, 250, 452, 550]),
    action=st.sampled_from(["failed", "delayed"]),
)
def test_the_verdict_can_be_repeated_from_what_is_stored(
    diagnostic: str, smtp_code: int, action: str
) -> None:
    record = make_record(diagnostic=diagnostic, smtp_code=smtp_code, action=action, remote_host="mx.example")
    stored = columns("bounce", record)
    again = derived_of("bounce", [stored[name] for name in DERIVED_FROM["bounce"]], count=1)
    assert again == {name: stored[name] for name in again}


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({}, ""),
        ({"status": "accepted", "error_code": "3014"}, ""),
        ({"status": "rejected", "error_code": "blocklisted"}, ""),
        ({"status": "rejected", "error_code": "AuthFailure.SignatureFailure"}, "permission_keys"),
        ({"status": "rejected", "error_code": "3014"}, "sender_domain"),
        ({"status": "rejected", "error_message": "Invalid email address: a b@c"}, "recipient_address"),
        ({"status": "rejected", "error_code": "template_not_approved"}, "template_data"),
        ({"status": "rejected", "error_code": "1011"}, "template_only"),
        ({"status": "rejected", "error_code": "E42", "error_message": "it went wrong"}, "unknown"),
        ({"status": "rejected"}, "unknown"),
    ],
)
def test_a_rejected_send_is_stored_with_its_first_cause(fields: dict[str, Any], cause: str) -> None:
    assert row("send", **fields)["cause"] == cause


def test_numbers_that_were_not_told_are_zero() -> None:
    found = row("bounce", smtp_code=None)
    assert (found["smtp_code"], found["attempt"]) == (0, 0)


def test_an_open_is_judged_and_its_client_address_dropped() -> None:
    found = row("open", user_agent="Mozilla/5.0", client_ip="192.0.2.1")
    assert (found["open_kind"], found["open_reason"]) == ("machine", "apple_mpp")
    assert "192.0.2.1" not in str(found)


def test_an_image_proxy_at_the_time_of_sending_is_a_machine() -> None:
    agent = "(via ggpht.com GoogleImageProxy)"
    assert row("open", user_agent=agent, sent_at="2026-11-23T11:58:59Z")["open_kind"] == "machine"
    assert row("open", user_agent=agent, sent_at="2026-11-23T11:58:50Z")["open_kind"] == "human"
    assert row("open", user_agent=agent)["open_kind"] == "human"


@pytest.mark.parametrize(
    "sent_at", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-24T11:59:00.251Z"]
)
def test_a_sending_time_that_cannot_be_meant_is_absent(sent_at: str) -> None:
    assert row("delivery", sent_at=sent_at)["sent_at"] is None


def test_a_long_text_is_cut() -> None:
    assert row("bounce", diagnostic="é" * 100_000)["diagnostic"] == "é" * MAX_TEXT_CHARS


def test_every_column_has_one_value_an_event_and_a_known_name_and_type() -> None:
    types = {
        "string": str,
        "name": str,
        "timestamp_ms": datetime,
        "optional_timestamp_ms": datetime | None,
        "bool": bool,
        "uint16": int,
        "float32": float,
        "strings": tuple,
    }
    names = dict(EVENT_COLUMNS)
    seen: set[str] = set()
    for kind in EVENT_TYPES:
        found = columns(kind, make_record(), make_record(event_id="e-2", sent_at="2026-11-23T10:00:00Z"))
        seen |= found.keys()
        for name, column in found.items():
            assert len(column) == 2
            assert all(isinstance(value, types[names[name]]) for value in column), name
        assert set(found["outcome"]) <= set(OUTCOMES)
    assert seen == set(names)


@given(st.sampled_from(EVENT_TYPES), st.lists(st.integers(0, 5), max_size=6))
def test_columns_of_a_chunk_are_the_columns_of_its_events_joined(
    kind: EventType, picks: Sequence[int]
) -> None:
    values = [
        make_record(
            event_id=f"e-{n}", smtp_code=n * 150, status=["accepted", "rejected"][n % 2], user_agent="bot" * n
        )
        for n in picks
    ]
    together = columns(kind, *values)
    alone = [columns(kind, value) for value in values]
    assert together == {name: [one[name][0] for one in alone] for name in together}


def test_no_events_are_empty_columns() -> None:
    assert all(column == [] for kind in EVENT_TYPES for column in columns_of(kind, []).values())


def test_columns_hold_nothing_that_was_not_sent() -> None:
    assert json.dumps(row("send", colour="secret-7"), default=str).count("secret-7") == 0
