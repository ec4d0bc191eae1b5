"""What the reports of mail servers say, one sample a server and form."""

from datetime import UTC, datetime
from typing import Any

import pytest

from postloop.domain.errors import DataError
from postloop.domain.reports.model import BounceDraft, ComplaintDraft
from tests.unit.domain.reports.conftest import NAMES, read

Facts = dict[str, Any]
RCPT: Facts = {
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "smtp_command": "RCPT",
    "remote_host": "mx.example.org",
}

# Sample -> for each bounce: recipient, action, and every field that is not empty, but for the diagnostic and times.
BOUNCES: dict[str, list[tuple[str, str, Facts]]] = {
    "postfix-failed": [
        ("ada@example.org", "failed", RCPT),
        (
            "bob@example.net",
            "failed",
            {
                "smtp_code": 552,
                "enhanced_code": "5.2.2",
                "smtp_command": "DATA",
                "remote_host": "mail.example.net",
            },
        ),
    ],
    "postfix-delayed": [
        (
            "ada@example.org",
            "delayed",
            {"enhanced_code": "4.4.1", "smtp_command": "CONNECT", "remote_host": "mx.example.org"},
        )
    ],
    "success": [("eve@example.com", "failed", {"enhanced_code": "5.0.0"})],
    "gmail": [
        (
            "ada@example.org",
            "failed",
            {"smtp_code": 550, "enhanced_code": "5.1.1", "remote_host": "mx.example.org"},
        )
    ],
    "exchange-online": [("ada@contoso.example", "failed", {"smtp_code": 550, "enhanced_code": "5.1.10"})],
    "forwarded-base64": [
        ("ada@example.org", "failed", {"enhanced_code": "5.4.7", "remote_host": "[192.0.2.9]"})
    ],
    "other-scripts": [
        (
            "佐藤@例え.example",
            "failed",
            {"smtp_code": 550, "enhanced_code": "5.1.1", "smtp_command": "RCPT"},
        ),
        ("佐藤+2@example.org", "failed", {"enhanced_code": "5.1.1"}),
    ],
    "sparse": [
        ("ada@example.org", "delayed", {"enhanced_code": "4.2.1"}),
        ("bob@example.org", "failed", {"smtp_code": 554}),
    ],
    "exim": [("ada@example.org", "failed", RCPT), ("bob@example.net", "failed", {})],
    "exim-delayed": [
        (
            "ada@example.org",
            "delayed",
            {
                "smtp_code": 421,
                "enhanced_code": "4.7.0",
                "smtp_command": "CONNECT",
                "remote_host": "mx.example.org",
            },
        )
    ],
    "qmail": [("ada@example.org", "failed", {"smtp_code": 550})],
    "sendmail": [("ada@example.org", "failed", RCPT)],
    "exchange-2003": [("ada@contoso.example", "failed", {"smtp_code": 550, "enhanced_code": "5.1.1"})],
    "gmail-old": [("ada@example.org", "failed", {"smtp_code": 554, "enhanced_code": "5.7.1"})],
    "unknown-language": [("ada@example.org", "failed", {"smtp_code": 550, "enhanced_code": "5.1.1"})],
}
DIAGNOSTICS = {
    "postfix-failed": "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown",
    "postfix-delayed": "x-postfix; connect to mx.example.org[192.0.2.25]:25: Connection timed out",
    "success": "x-unix; input/output error",
    "exchange-online": "550 5.1.10 RESOLVER.ADR.RecipientNotFound; no such recipient in this tenant",
    "forwarded-base64": "",
    "exim": "host mx.example.org [192.0.2.25] SMTP error from remote mail server after "
    "RCPT TO:<ada@example.org>: 550 5.1.1 <ada@example.org>: unknown user",
    "qmail": "192.0.2.25 does not like recipient. Remote host said: 550 sorry, no mailbox here by that name "
    "Giving up on 192.0.2.25.",
    "sendmail": "(reason: 550 5.1.1 <ada@example.org>... User unknown)",
    "unknown-language": "il server ha risposto: 550 5.1.1 utente sconosciuto",
}
# Sample -> recipient, feedback type, who reported.
COMPLAINTS = {
    "complaint": [("ada@yahoo.com", "abuse", "yahoo")],
    "complaint-redacted-verp": [("ada@example.org", "abuse", "loop.example")],
    "complaint-redacted": [("[redacted]", "fraud", "yahoo")],
    "complaint-unsubscribe-link": [("ada@example.org", "abuse", "yahoo")],
    "not-spam": [("bob@yahoo.com", "not-spam", "yahoo"), ("ada@yahoo.com", "not-spam", "yahoo")],
    "microsoft-junk": [("ada@hotmail.com", "abuse", "microsoft")],
}
SKIPPED = {
    "success": ("delivered", "relayed", "expanded"),
    "away": ("auto_reply",),
    "read-receipt": ("read_receipt",),
    "authentication": ("authentication_report",),
    "person": ("not_a_report",),
}
NO_MESSAGE_RETURNED = {"exim-delayed", "unknown-language", "sparse", "other-scripts"}
UNREADABLE = {"daemon-says-nothing"}


def test_every_sample_is_looked_at() -> None:
    assert set(NAMES) == {*BOUNCES, *COMPLAINTS, *SKIPPED, *UNREADABLE}


@pytest.mark.parametrize("name", BOUNCES)
def test_the_bounces_of_a_report(name: str) -> None:
    found = [
        (
            draft.recipient,
            draft.action,
            {
                field: value
                for field in ("smtp_code", "enhanced_code", "smtp_command", "remote_host")
                if (value := getattr(draft, field))
            },
        )
        for _, draft in read(name).drafts
        if isinstance(draft, BounceDraft)
    ]
    assert found == BOUNCES[name]


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_the_words_of_the_server(name: str) -> None:
    draft = read(name).drafts[0][1]
    assert isinstance(draft, BounceDraft)
    assert draft.diagnostic == DIAGNOSTICS[name]


@pytest.mark.parametrize("name", COMPLAINTS)
def test_the_complaints_of_a_report(name: str) -> None:
    found = [
        (draft.recipient, draft.feedback_type, draft.reporting_provider)
        for _, draft in read(name).drafts
        if isinstance(draft, ComplaintDraft)
    ]
    assert found == COMPLAINTS[name]


@pytest.mark.parametrize("name", sorted({*NAMES} - UNREADABLE))
def test_what_is_skipped_and_why(name: str) -> None:
    assert read(name).skipped == SKIPPED.get(name, ())


def test_a_mail_system_that_reports_a_failure_of_nobody_is_an_error() -> None:
    with pytest.raises(DataError) as error:
        read("daemon-says-nothing")
    assert error.value.code == "no_recipient"


def test_a_recipient_that_cannot_be_read_keeps_the_others() -> None:
    report = read("sparse")
    assert [index for index, _ in report.drafts] == [0, 1]
    assert [(error.index, error.code, error.field) for error in report.errors] == [
        (2, "unknown_value", "action"),
        (3, "missing", "action"),
    ]


@pytest.mark.parametrize("name", sorted({*BOUNCES, *COMPLAINTS} - NO_MESSAGE_RETURNED))
def test_the_message_that_a_report_is_about(name: str) -> None:
    original = read(name).original
    assert (original.message_id, original.sender_domain, original.sent_at) == (
        "20261123.0901.7@news.acme.example",
        "news.acme.example",
        datetime(2026, 11, 23, 9, 1, tzinfo=UTC),
    )
    assert original.headers.first("x-account") == "acme"


def test_a_report_without_the_message_may_still_name_it() -> None:
    assert read("sparse").original.message_id == "env-9"
    assert read("other-scripts").original.message_id == "m-8@news.acme.example"
    assert read("other-scripts").original.sender_domain == "пример.example"
    assert read("exim-delayed").original.message_id == ""


def test_the_last_attempt_comes_before_the_report_and_the_arrival() -> None:
    (_, draft), *_ = read("gmail").drafts
    assert [moment.isoformat() for moment in draft.times] == [
        "2026-11-23T09:01:04+00:00",
        "2026-11-23T09:01:05+00:00",
        "2026-11-23T09:01:02+00:00",
    ]
    (_, draft), *_ = read("forwarded-base64").drafts
    assert [moment.hour for moment in draft.times] == [9]


def test_a_complaint_is_as_old_as_its_report_not_as_its_message() -> None:
    (_, draft), *_ = read("complaint").drafts
    assert draft.times[0] == datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
