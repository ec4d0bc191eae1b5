"""Events of raw reports: every recipient ends somewhere, ids repeat, and what is unknown comes from beside."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.address import canonical_recipient
from postloop.contracts.deadletter import DeadLetterV1, max_dead_letter_bytes
from postloop.contracts.decode import Limits, decode_record
from postloop.contracts.report_events import (
    Attribution,
    DecodedReport,
    decode_report,
    report_dead_letters,
    report_topic_id,
)
from tests.unit.contracts.conftest import NOW
from tests.unit.domain.reports.conftest import NAMES, message, sample, status

ACME = Attribution(account="acme")
LIMITS = Limits(retention=timedelta(days=90))
LATER = NOW + timedelta(days=2)


def decode(raw: bytes, attribution: Attribution = ACME, **options: Any) -> DecodedReport:
    return decode_report(raw, attribution, **{"now": LATER, "limits": LIMITS, **options})


def events(raw: bytes, attribution: Attribution = ACME, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in decode(raw, attribution, **options).records]


def test_a_bounce_as_it_goes_to_its_topic() -> None:
    record, _ = decode(sample("postfix-failed")).records
    assert (record.event_type, record.key) == ("bounce", b"ada@example.org")
    event = json.loads(record.value)
    assert len(event.pop("event_id")) == 36
    assert event == {
        "occurred_at": "2026-11-23T09:01:06+00:00",
        "account_id": "acme",
        "message_id": "20261123.0901.7@news.acme.example",
        "sender_domain": "news.acme.example",
        "recipient": "ada@example.org",
        "sent_at": "2026-11-23T09:01:00+00:00",
        "action": "failed",
        "smtp_code": 550,
        "enhanced_code": "5.1.1",
        "diagnostic": "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown",
        "smtp_command": "RCPT",
        "remote_host": "mx.example.org",
    }


def test_a_complaint_as_it_goes_to_its_topic() -> None:
    (record,) = decode(sample("complaint")).records
    event = json.loads(record.value)
    assert (record.event_type, record.key) == ("complaint", b"ada@yahoo.com")
    assert (event["feedback_type"], event["reporting_provider"]) == ("abuse", "yahoo")
    assert event["occurred_at"] == "2026-11-23T18:00:00+00:00"


def test_an_id_never_changes() -> None:
    """Ids are on the topics: other ones would count a report again that is imported again."""
    assert [event["event_id"] for event in events(sample("postfix-failed"))] == [
        "b427dd51-4962-51de-b028-caaf703beb01",
        "fb79574e-3197-5948-89ad-f67e10e7a276",
    ]
    assert [event["event_id"] for event in events(sample("complaint"))] == [
        "0de669e4-ce0f-5068-8306-69a1a702deac"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_importing_again_repeats_the_ids_whoever_does_it_when_and_from_where(name: str) -> None:
    attribution = Attribution(account="acme", sender_domain="acme.example")
    first = events(sample(name), attribution)
    again = events(
        b"Delivered-To: x@acme.example\n" + sample(name).replace(b"\n", b"\r\n"),
        Attribution(account="other", sender_domain="other.example"),
        now=LATER + timedelta(days=9),
        received_at=NOW,
    )
    assert [event["event_id"] for event in first] == [event["event_id"] for event in again]


def test_no_two_samples_or_recipients_share_an_id() -> None:
    attribution = Attribution(account="acme", sender_domain="acme.example")
    ids = [event["event_id"] for name in NAMES for event in events(sample(name), attribution)]
    assert len(ids) == len(set(ids)) > 20


def test_a_report_of_the_next_try_has_another_id() -> None:
    first = sample("postfix-delayed")
    second = first.replace(b"13:05:00 +0000 (UTC)", b"17:05:00 +0000 (UTC)").replace(b"Pq1Tz2@", b"Pq1Tz9@")
    assert events(first)[0]["event_id"] != events(second)[0]["event_id"]


@pytest.mark.parametrize(
    ("attribution", "field", "value"),
    [
        pytest.param(Attribution(account_header="x-account"), "account_id", "acme", id="account-by-header"),
        pytest.param(
            Attribution(account="other", account_header="X-Account"), "account_id", "acme", id="header-first"
        ),
        pytest.param(
            Attribution(account="other", account_header="X-None"), "account_id", "other", id="else-the-option"
        ),
        pytest.param(
            Attribution(account="acme", message_id_header="X-Message"), "message_id", "m-7", id="own-id"
        ),
        pytest.param(
            Attribution(account="acme", sender_domain="other.example"),
            "sender_domain",
            "news.acme.example",
            id="the-message-knows-its-domain",
        ),
        pytest.param(
            Attribution(account="acme", recipient_header="To"),
            "recipient",
            "ada@example.org",
            id="recipient-by-header",
        ),
    ],
)
def test_what_is_told_beside_the_reports(attribution: Attribution, field: str, value: str) -> None:
    assert events(sample("complaint"), attribution)[0][field] == value


def test_a_header_never_names_the_recipient_of_a_report_about_several() -> None:
    attribution = Attribution(account="acme", recipient_header="To")
    assert [event["recipient"] for event in events(sample("postfix-failed"), attribution)] == [
        "ada@example.org",
        "bob@example.net",
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("Action: delivered", id="who-got-it"),
        pytest.param("Action: vanished", id="who-cannot-be-read"),
    ],
)
def test_a_header_never_names_another_recipient_than_the_one_that_failed(other: str) -> None:
    raw = status(
        f"Final-Recipient: rfc822; ada@example.org\n{other}",
        "Final-Recipient: rfc822; bob@example.org\nAction: failed",
    ).replace(b"\n", b"\nX-Rcpt: ada@example.org\n", 1)
    attribution = Attribution(account="acme", sender_domain="acme.example", recipient_header="X-Rcpt")
    assert [event["recipient"] for event in events(raw, attribution)] == ["bob@example.org"]


@pytest.mark.parametrize(
    ("value", "recipient"),
    [
        pytest.param(b'"Ada" <ada@x.example>', "ada@x.example", id="name"),
        pytest.param(b"ada@x.example, bob@x.example", "ada@example.org", id="several-name-nobody"),
    ],
)
def test_a_header_that_names_one_address_is_the_recipient(value: bytes, recipient: str) -> None:
    raw = sample("complaint").replace(b"\nX-Account:", b"\nX-Rcpt: " + value + b"\nX-Account:")
    assert b"X-Rcpt" in raw
    (event,) = events(
        raw.replace(b"ada@yahoo.com", b"ada@example.org"),
        Attribution(account="acme", recipient_header="X-Rcpt"),
    )
    assert event["recipient"] == recipient


def test_a_report_that_names_neither_account_nor_domain_is_refused_for_both() -> None:
    addressed_to_nobody = sample("exim-delayed").replace(b"\nTo: ", b"\nX-To: ")
    (refusal,) = decode(addressed_to_nobody, Attribution()).refusals
    assert {(error.code, error.field) for error in refusal.errors} == {
        ("missing", "account_id"),
        ("missing", "sender_domain"),
    }
    assert (refusal.index, refusal.stage) == (0, "validate")


def test_a_bounce_without_the_message_is_of_the_domain_it_was_sent_to() -> None:
    raw = sample("exim-delayed").replace(
        b"\nTo: ", b"\nTo: Bounces <b+1@News.Acme.example>, x@other.example\nX-To: "
    )
    assert events(raw, Attribution(account="acme"))[0]["sender_domain"] == "news.acme.example"


def test_a_message_that_nobody_knows_gets_a_name_that_no_other_has() -> None:
    attribution = Attribution(account="acme", sender_domain="acme.example")
    (event,) = events(sample("unknown-language"), attribution)
    assert event["message_id"] == f"report-{event['event_id']}"


ADA = "Final-Recipient: rfc822; ada@example.org\nAction: failed"
RECEIVED = datetime(2026, 11, 22, tzinfo=UTC)


def without_date(raw: bytes) -> bytes:
    return raw.replace(b"\nDate: ", b"\nX-Date: ", 1)


@pytest.mark.parametrize(
    ("raw", "received_at", "occurred_at"),
    [
        pytest.param(
            status(f"{ADA}\nLast-Attempt-Date: Mon, 23 Nov 2026 08:00:00 +0000"),
            RECEIVED,
            "2026-11-23T08:00:00+00:00",
            id="last-attempt",
        ),
        pytest.param(status(ADA), RECEIVED, "2026-11-23T09:03:00+00:00", id="date-of-the-report"),
        pytest.param(
            without_date(status(ADA, message_fields="Arrival-Date: Mon, 23 Nov 2026 07:00:00 +0000")),
            RECEIVED,
            "2026-11-23T07:00:00+00:00",
            id="arrival-of-the-message",
        ),
        pytest.param(
            without_date(status(ADA)), RECEIVED, "2026-11-22T00:00:00+00:00", id="arrival-in-the-mailbox"
        ),
        pytest.param(without_date(status(ADA)), None, LATER.isoformat(), id="now"),
        pytest.param(
            status(f"{ADA}\nLast-Attempt-Date: Mon, 23 Nov 2099 08:00:00 +0000"),
            RECEIVED,
            "2026-11-23T09:03:00+00:00",
            id="a-clock-that-is-wrong-is-passed-over",
        ),
        pytest.param(
            status(f"{ADA}\nLast-Attempt-Date: Thu, 01 Jan 1970 00:00:00 +0000"),
            RECEIVED,
            "2026-11-23T09:03:00+00:00",
            id="a-clock-that-never-ran",
        ),
    ],
)  # fmt: skip
def test_when_it_happened(raw: bytes, received_at: datetime | None, occurred_at: str) -> None:
    attribution = Attribution(account="acme", sender_domain="acme.example")
    (event,) = events(raw, attribution, received_at=received_at)
    assert event["occurred_at"] == occurred_at


def test_a_report_older_than_the_retention_is_refused() -> None:
    refusals = decode(sample("postfix-failed"), now=NOW + timedelta(days=100)).refusals
    assert [(r.index, r.stage, r.errors[0].code) for r in refusals] == [
        (0, "validate", "too_old"),
        (1, "validate", "too_old"),
    ]


@pytest.mark.parametrize(
    ("name", "wanted", "code"),
    [
        ("complaint", "dsn", "not_a_dsn"),
        ("postfix-failed", "arf", "not_an_arf"),
        ("exim", "arf", "not_an_arf"),
        ("person", "dsn", "not_a_dsn"),
        ("person", "arf", "not_an_arf"),
        ("away", "dsn", "not_a_dsn"),
    ],
)
def test_a_file_that_is_said_to_be_a_report_must_be_one(
    name: str, wanted: Literal["dsn", "arf"], code: str
) -> None:
    decoded = decode(sample(name), wanted=wanted)
    assert not decoded.records
    assert [r.errors[0].code for r in decoded.refusals] == [code]


@pytest.mark.parametrize(
    ("name", "wanted"), [("complaint", "arf"), ("microsoft-junk", "arf"), ("exim", "dsn")]
)
def test_a_file_of_the_kind_that_was_said_is_read(name: str, wanted: Literal["dsn", "arf"]) -> None:
    assert decode(sample(name), wanted=wanted).records


def test_a_redacted_recipient_is_kept_as_given_and_is_no_valid_address() -> None:
    for text in ("[redacted]", "redacted@example.org", "xxxxxxxx@example.org"):
        raw = sample("complaint-redacted").replace(b"[redacted]", text.encode())
        (event,) = events(raw)
        assert event["recipient"] == text
        assert canonical_recipient(event["recipient"]).valid is False


def test_a_dead_letter_holds_the_message_and_says_that_it_was_no_record() -> None:
    raw = sample("sparse")
    refusals = decode(raw).refusals
    letters = list(report_dead_letters(raw, refusals, source="mbox", at=NOW))
    assert [(letter.topic, letter.partition, letter.offset, letter.index) for letter in letters] == [
        ("import:mbox", 0, 0, 2),
        ("import:mbox", 0, 0, 3),
        ("import:mbox", 0, 0, 0),
        ("import:mbox", 0, 0, 1),
    ]
    assert {letter.value for letter in letters} == {raw}
    assert len({letter.event_id for letter in letters}) == 4


def test_the_dead_letter_of_a_huge_message_fits_its_topic() -> None:
    raw = b"\xff" * 3_000_000
    (letter,) = report_dead_letters(raw, decode(raw).refusals, source="dsn", at=NOW)
    assert letter.value == raw[:1_000_000]
    assert len(letter.to_bytes()) <= max_dead_letter_bytes(max_record_bytes=1_000_000)


@given(st.binary(max_size=1_500) | st.sampled_from(NAMES).map(sample), st.datetimes(timezones=st.just(UTC)))
def test_any_message_ends_as_valid_events_or_with_reasons(raw: bytes, received_at: datetime) -> None:
    attribution = Attribution(account="acme", account_header="X-Account")
    decoded = decode(raw, attribution, received_at=received_at)
    assert decoded.records or decoded.skipped or decoded.refusals
    for record in decoded.records:
        assert decode_record(record.event_type, record.value, now=LATER, limits=LIMITS).events
    for letter in report_dead_letters(raw, decoded.refusals, source="mbox", at=NOW):
        assert DeadLetterV1.model_validate_json(letter.to_bytes()) == letter
    assert decode(raw, attribution, received_at=received_at) == decoded
    assert report_topic_id(raw) == report_topic_id(bytes(raw))


def test_control_signs_of_a_text_do_not_reach_an_event() -> None:
    raw = message(body="<ada@example.org>: 550 5.1.1 \x1b[31mno\x00\n")
    (event,) = events(raw, Attribution(account="acme", sender_domain="acme.example"))
    assert event["diagnostic"] == "550 5.1.1  [31mno"
