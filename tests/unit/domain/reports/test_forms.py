"""The forms of reports: what makes a message one, and how far the forms may be broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.reports import plain
from postloop.domain.reports.auto_reply import is_auto_reply
from postloop.domain.reports.headers import parse_headers
from postloop.domain.reports.model import BounceDraft, ComplaintDraft, ReportLimits
from postloop.domain.reports.reading import read_report
from tests.unit.domain.reports.conftest import NAMES, message, sample, status

FRAMES = [(action, phrase) for action, phrases in plain._FRAMES for phrase in phrases]


def bounces(raw: bytes) -> list[BounceDraft]:
    return [draft for _, draft in read_report(raw).drafts if isinstance(draft, BounceDraft)]


@pytest.mark.parametrize(("action", "phrase"), FRAMES, ids=[phrase for _, phrase in FRAMES])
def test_each_phrase_of_a_mail_system_frames_recipients(action: str, phrase: str) -> None:
    words = phrase.split(" ")
    folded = " ".join(words[:2]) + "\n" + " ".join(words[2:])
    raw = message("Subject: news", body=f"Sorry:\n{folded}:\n\n  ada@example.org\n    no reason\n")
    assert [(b.recipient, b.action, b.diagnostic) for b in bounces(raw)] == [
        ("ada@example.org", action, "no reason")
    ]


@pytest.mark.parametrize(
    "sender",
    [
        "MAILER-DAEMON@mx.example",
        "Mailer-Daemon",
        "postmaster@mx.example",
        "maildaemon@mx.example",
        "MDaemon@mx.example",
        "Mail Administrator <x@mx.example>",
        '"Mail Delivery System" <x@mx.example>',
        "Mail Delivery Subsystem <x@mx.example>",
    ],
)
def test_a_mail_system_is_known_by_its_name(sender: str) -> None:
    assert plain.is_from_mail_system(parse_headers(f"From: {sender}\n".encode()))


def test_a_mail_system_is_known_by_its_empty_return_path() -> None:
    assert plain.is_from_mail_system(parse_headers(b"Return-Path: < >\nFrom: a@b.example\n"))
    assert not plain.is_from_mail_system(parse_headers(b"Return-Path: <a@b.example>\nFrom: a@b.example\n"))


def test_whom_to_ask_is_nobody_that_bounced() -> None:
    body = (
        "could not be delivered to one or more recipients\n\n<ada@example.org>: no\n\npostmaster@mx.example\n"
    )
    assert [b.recipient for b in bounces(message(body=body))] == ["ada@example.org"]


@pytest.mark.parametrize("name", ["postmaster", "mailer-daemon", "abuse", "helpdesk", "support"])
def test_a_contact_counts_where_a_reply_says_so(name: str) -> None:
    raw = message(body=f"could not be delivered to one or more recipients\n\n<{name}@example.org>: 550 no\n")
    assert [b.recipient for b in bounces(raw)] == [f"{name}@example.org"]
    assert read_report(raw.replace(b": 550 no", b": ask here")).drafts == ()


@pytest.mark.parametrize(
    "subject",
    [
        "Undeliverable: news",
        "Undelivered Mail Returned to Sender",
        "Returned mail: see transcript for details",
        "Delivery Status Notification (Failure)",
        "Delivery failure",
        "Delivery has failed",
        "failure notice",
        "Your message couldn't be delivered",
        "Your message could not be delivered",
        "Mail delivery failed: returning message to sender",
        "Message delayed",
        "=?utf-8?B?VW5kZWxpdmVyYWJsZQ==?=",
    ],
)
def test_a_failure_of_nobody_is_told_by_its_subject(subject: str) -> None:
    with pytest.raises(DataError, match="names no recipient"):
        read_report(message(f"Subject: {subject}", body="Sorry.\n"))


def test_an_answer_for_a_person_about_a_failure_is_no_failure() -> None:
    raw = message(
        "Return-Path: <>", "Subject: Automatic reply: Undeliverable: news", body="<a@b.example>: 550 no\n"
    )
    assert read_report(raw).skipped == ("auto_reply",)


@pytest.mark.parametrize(
    "marker",
    [
        "------ This is a copy of the message, including all the headers. ------",
        "This is a copy of your message.",
        "--- Below this line is a copy of the message.",
        "   ----- Original message follows -----",
        "   ----- Unsent message follows -----",
        "   ----- Message header follows -----",
        "----- Original message -----",
        "Original message headers:",
        "Message headers:",
        "Returned message",
        "Undelivered Message",
    ],
)
def test_the_message_is_found_behind_the_line_that_announces_it(marker: str) -> None:
    returned = "From: news@acme.example\nMessage-ID: <m-1@acme.example>\n\nbob@example.org\n"
    report = read_report(message(body=f"<ada@example.org>: 550 no\n\n{marker}\n\n{returned}"))
    assert (report.original.message_id, report.original.sender_domain) == ("m-1@acme.example", "acme.example")
    assert [draft.recipient for _, draft in report.drafts] == ["ada@example.org"]


def test_a_line_like_that_without_a_message_behind_it_announces_nothing() -> None:
    raw = message(body="Returned message\n\n<ada@example.org>: 550 no\n")
    assert [b.recipient for b in bounces(raw)] == ["ada@example.org"]


def test_a_name_without_reply_is_no_bounce_where_no_phrase_says_so() -> None:
    assert read_report(message(body="<ada@example.org>: salve\n")).skipped == ("not_a_report",)


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-replied (vacation)",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "X-Autorespond: news",
        "X-Autogenerated: Reply",
        "X-AutoReply-From: a@b.example",
        "X-Mail-Autoreply: 1",
        "Subject: Automatic reply: news",
        "Subject: Re: Auto-Reply: news",
        "Subject: Out of the office",
        "Subject: On vacation",
        "Subject: Abwesenheitsnotiz",
        "Subject: Automatische Antwort: news",
        "Subject: Réponse automatique : news",
        "Subject: =?utf-8?q?R=C3=A9ponse_automatique?= : news",
        "Subject: =?iso-8859-1?Q?R=E9ponse?= =?iso-8859-1?Q?_automatique?=",
        "Subject: Absence du bureau",
        "Subject: Respuesta automática: news",
        "Subject: Risposta automatica: news",
        "Subject: Automatisch antwoord: news",
        "Subject: Autosvar: news",
        "Subject: Balasan otomatis: news",
        "Subject: Автоответ: news",
        "Subject: 自动回复：news",
        "Subject: 自動回覆：news",
        "Subject: 自動応答",
        "Subject: 자동 회신: news",
    ],
)
def test_an_auto_reply_is_skipped_by_name(field: str) -> None:
    raw = f"From: Ada <ada@example.org>\n{field}\n\nI am away.\n".encode()
    assert read_report(raw).skipped == ("auto_reply",)


@pytest.mark.parametrize(
    "field", ["Auto-Submitted: no", "Precedence: bulk", "Subject: reply", "Subject: office"]
)
def test_other_mail_is_no_auto_reply(field: str) -> None:
    assert not is_auto_reply(parse_headers(f"{field}\n".encode()))


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        pytest.param("Action: failed", "failed", id="failed"),
        pytest.param("Action: Failure (bad address)", "failed", id="domino-with-a-comment"),
        pytest.param("Action: delayed", "delayed", id="delayed"),
        pytest.param("Status: 5.1.1", "failed", id="only-a-status"),
        pytest.param("Status: 4.4.1", "failed", id="temporary-and-no-more-tries"),
        pytest.param(
            "Status: 4.4.1\nWill-Retry-Until: Sat, 28 Nov 2026 09:01:01 +0000", "delayed", id="retries"
        ),
        pytest.param("Diagnostic-Code: smtp; 550 no", "failed", id="only-a-reply"),
    ],
)
def test_what_was_done_with_a_message(fields: str, action: str) -> None:
    (bounce,) = bounces(status(f"Final-Recipient: rfc822; ada@example.org\n{fields}"))
    assert bounce.action == action


def test_success_needs_no_action_field() -> None:
    assert read_report(status("Final-Recipient: rfc822; ada@example.org\nStatus: 2.1.5")).skipped == (
        "delivered",
    )


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"", "not_a_message", id="nothing"),
        pytest.param(b"\x00\xff\n\n", "not_a_message", id="bytes"),
        pytest.param(b"just words\n", "not_a_message", id="no-field"),
        pytest.param(status(), "no_recipient", id="nobody"),
        pytest.param(
            message("Content-Type: multipart/report; report-type=delivery-status"), "no_report_part", id="no-parts"
        ),
        pytest.param(
            message("Content-Type: multipart/report; report-type=feedback-report; boundary=x", body="--x\n\nhi\n"),
            "no_report_part",
            id="no-fields-of-the-loop",
        ),
        pytest.param(
            message("Content-Type: message/feedback-report", body="Version: 1\n"), "missing", id="no-feedback-type"
        ),
        pytest.param(
            message("Content-Type: message/feedback-report", body="Feedback-Type: abuse\n"),
            "missing",
            id="nobody-complained",
        ),
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_read_says_why(raw: bytes, code: str) -> None:
    with pytest.raises(DataError) as error:
        read_report(raw)
    assert error.value.code == code


def complaint(fields: str, *, header: str = "To: ada@example.org") -> bytes:
    """Return a report of a feedback loop with these fields about a message with this header."""
    return message(
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b1",
        body=f"--b1\nContent-Type: message/feedback-report\n\n{fields}\n\n"
        f"--b1\nContent-Type: text/rfc822-headers\n\n{header}\n\n--b1--\n",
    )


@pytest.mark.parametrize(
    ("value", "feedback_type"),
    [
        pytest.param("Not-Spam (moved out of junk)", "not-spam", id="comment"),
        pytest.param("(as told) abuse(spam)", "abuse", id="comments-around-it"),
        pytest.param("abuse (by a (real) person)", "abuse", id="nested-comment"),
        pytest.param("abuse (by a", "abuse", id="comment-without-an-end"),
    ],
)
def test_a_feedback_type_is_stored_without_comments(value: str, feedback_type: str) -> None:
    ((_, draft),) = read_report(
        complaint(f"Feedback-Type: {value}\nOriginal-Rcpt-To: ada@example.org")
    ).drafts
    assert isinstance(draft, ComplaintDraft)
    assert draft.feedback_type == feedback_type


@pytest.mark.parametrize("value", ["auth-failure (dmarc)", "(by us) Auth-Failure", "auth_failure"])
def test_a_report_about_authentication_is_none_with_a_comment_either(value: str) -> None:
    raw = complaint(f"Feedback-Type: {value}\nOriginal-Rcpt-To: ada@example.org")
    assert read_report(raw).skipped == ("authentication_report",)


def exim(names: list[str], *, in_each: int) -> bytes:
    """Return a bounce of Exim: so many recipients in each header, each with a reply of its own."""
    lists = [names[start : start + in_each] for start in range(0, len(names), in_each)]
    headers = ["X-Failed-Recipients: " + ",\n  ".join(some) for some in lists]
    replies = "".join(f"  {name}\n    host mx.example.org: 550 5.1.1 No such user\n" for name in names)
    return message(*headers, body=f"The following address(es) failed:\n\n{replies}")


@pytest.mark.parametrize(
    ("count", "in_each"),
    [
        pytest.param(60, 50, id="in-two-headers"),
        pytest.param(700, 700, id="in-one-header-of-20-kb"),
        pytest.param(1_000, 50, id="as-many-as-a-report-may-name"),
    ],
)
def test_a_bounce_of_many_recipients_names_them_all(count: int, in_each: int) -> None:
    names = [f"a.customer.number{number:04}@example.org" for number in range(count)]
    assert [b.recipient for b in bounces(exim(names, in_each=in_each))] == names


def test_a_bounce_of_too_many_recipients_is_refused_not_cut() -> None:
    names = [f"a.customer.number{number:04}@example.org" for number in range(1_001)]
    with pytest.raises(DataError) as error:
        read_report(exim(names, in_each=1_001))
    assert error.value.code == "too_many_recipients"


def test_recipients_behind_what_is_read_of_a_text_are_refused_by_name_of_the_limit() -> None:
    names = [f"a.customer.number{number:04}@example.org" for number in range(500)]
    reason = "550 5.1.1 No such user " + "here " * 30
    raw = message(body="".join(f"<{name}>: {reason}\n" for name in names))
    report = read_report(raw)
    read = [draft.recipient for _, draft in report.drafts]
    assert read == names[: len(read)]  # none of them half a name
    assert 300 < len(read) < 500
    assert [(error.index, error.code) for error in report.errors] == [(None, "too_large")]


def test_a_long_text_that_names_nobody_else_is_read_without_a_word() -> None:
    report = read_report(
        message(body="<ada@example.org>: 550 no\n\n" + "as we said to x@y.example\n" * 4_000)
    )
    assert ([draft.recipient for _, draft in report.drafts], report.errors) == (["ada@example.org"], ())


def test_whom_only_the_text_names_is_a_bounce_where_a_reply_says_so() -> None:
    raw = exim(["ada@example.org", "bob@example.org"], in_each=2).replace(b",\n  bob@example.org", b"", 1)
    assert [b.recipient for b in bounces(raw)] == ["ada@example.org", "bob@example.org"]
    asked = raw.replace(b"550 5.1.1 No such user", b"ask us")
    assert [b.recipient for b in bounces(asked)] == ["ada@example.org"]


def test_a_list_of_recipients_in_a_status_is_a_bounce_for_each() -> None:
    raw = status(
        'Final-Recipient: rfc822; "Ada" <ada@x.example>, bob@x.example\nAction: failed',
        "Final-Recipient: rfc822;eve@x.example;\nAction: failed",
    )
    found = [(index, draft.recipient) for index, draft in read_report(raw).drafts]
    assert found == [(0, "ada@x.example"), (1, "bob@x.example"), (2, "eve@x.example")]


@pytest.mark.parametrize(
    ("fields", "header", "recipients"),
    [
        pytest.param(
            "Original-Rcpt-To: <>", 'To: "******@hotmail.example"', ['"******@hotmail.example"'], id="blank-field"
        ),
        pytest.param("Original-Rcpt-To: <>", "To: ada@example.org", ["ada@example.org"], id="shown-in-to"),
        pytest.param(
            "Original-Rcpt-To: <>\nRemoval-Recipient: ada@example.org", "To: x", ["ada@example.org"], id="other-field"
        ),
        pytest.param(
            "Original-Rcpt-To: <>\nOriginal-Rcpt-To: [redacted]", "To: x", ["[redacted]"], id="one-blank-field"
        ),
        pytest.param("Original-Rcpt-To: Ada <ada@example.org>", "To: x@y.example", ["ada@example.org"], id="name"),
        pytest.param(
            "Original-Rcpt-To: <ada@example.org>, <bob@example.org>",
            "To: x@y.example",
            ["ada@example.org", "bob@example.org"],
            id="list",
        ),
    ],
)  # fmt: skip
def test_whom_a_complaint_names(fields: str, header: str, recipients: list[str]) -> None:
    report = read_report(complaint(f"Feedback-Type: abuse\n{fields}", header=header))
    assert [draft.recipient for _, draft in report.drafts] == recipients


def nested(levels: int) -> bytes:
    return b"From: a@b.example\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(levels)
    )


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(nested(9), "too_deep", id="nesting"),
        pytest.param(
            message("Content-Type: multipart/mixed; boundary=x", body="--x\n\nhi\n" * 65), "too_many_parts", id="parts"
        ),
        pytest.param(message("X-Long: " + "x" * 300_000), "header_too_large", id="header"),
        pytest.param(
            status(*[f"Final-Recipient: rfc822; r{n}@example.org\nAction: failed" for n in range(1_001)]),
            "too_many_recipients",
            id="recipients-of-a-status",
        ),
        pytest.param(
            message(body="".join(f"<r{n}@example.org>: 550 no\n" for n in range(1_001))),
            "too_many_recipients",
            id="recipients-of-a-text",
        ),
        pytest.param(
            message(
                "Content-Type: message/feedback-report",
                body="Feedback-Type: abuse\n" + "".join(f"Original-Rcpt-To: r{n}@example.org\n" for n in range(1_001)),
            ),
            "too_many_recipients",
            id="recipients-of-a-complaint",
        ),
        pytest.param(message(body="x" * 1_000_000), "too_large", id="bytes-of-which-none-report"),
    ],
)  # fmt: skip
def test_more_than_the_limit_is_refused(raw: bytes, code: str) -> None:
    if code == "too_large":
        raw = raw.replace(b"\n\n", b"\nSubject: Undeliverable\n\n", 1)
    with pytest.raises(DataError) as error:
        read_report(raw)
    assert error.value.code == code


def test_eight_levels_of_parts_are_fine() -> None:
    assert read_report(nested(8)).skipped == ("not_a_report",)


def test_a_large_returned_message_is_not_needed() -> None:
    raw = sample("postfix-failed").replace(b"\nHello.\n", b"\n" + b"x" * 70 * 20_000)
    assert len(raw) > ReportLimits().max_message_bytes
    assert read_report(raw) == read_report(sample("postfix-failed"))


def test_a_report_inside_a_returned_message_is_not_read() -> None:
    inner = sample("postfix-failed").decode()
    raw = message(
        "Content-Type: multipart/mixed; boundary=outer",
        body=f"--outer\n\nSee below.\n--outer\nContent-Type: message/rfc822\n\n{inner}\n--outer--\n",
    )
    assert read_report(raw).skipped == ("not_a_report",)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"daemon-says-nothing"}))
def test_line_ends_and_headers_of_the_way_change_nothing(name: str) -> None:
    raw = sample(name)
    way = (
        b"Delivered-To: fbl@acme.example\nReceived: from mx.example (192.0.2.1)\n by mx1; today\nX-Spam: no\n"
    )
    as_written = read_report(raw)
    for other in (raw.replace(b"\n", b"\r\n"), way + raw, raw + b"\n\n"):
        found = read_report(other)
        assert (found.identity, found.drafts) == (as_written.identity, as_written.drafts)
        assert found.original == as_written.original


@pytest.mark.parametrize(
    "before",
    [b"\xef\xbb\xbf", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf\n \t\n"],
    ids=["byte-order-mark", "blank-line", "blank-lines", "both"],
)
@pytest.mark.parametrize("name", ["postfix-failed", "complaint", "exim"])
def test_what_stands_before_the_header_changes_nothing(name: str, before: bytes) -> None:
    assert read_report(before + sample(name)) == read_report(sample(name))


@pytest.mark.parametrize(
    ("said", "charsets", "text"),
    [
        pytest.param("Boîte inconnue".encode(), ("", ""), "Boîte inconnue", id="utf-8"),
        pytest.param("Boîte inconnue".encode("latin-1"), ("", ""), "Boîte inconnue", id="latin-1"),
        pytest.param("Boîte inconnue".encode("latin-1"), ("utf-8", ""), "Boîte inconnue", id="wrongly-told"),
        pytest.param("Нет ящика".encode("koi8-r"), ("koi8-r", ""), "Нет ящика", id="as-the-text-says"),
        pytest.param("Нет ящика".encode("koi8-r"), ("utf-8", "koi8-r"), "Нет ящика", id="as-the-part-says"),
        pytest.param("Нет ящика".encode()[:-1], ("", ""), "Нет ящикÐ", id="cut-within-a-character"),
    ],
)
def test_a_status_in_raw_bytes_is_read_in_their_charset(
    said: bytes, charsets: tuple[str, str], text: str
) -> None:
    of_text, of_status = (f"; charset={name}".encode() if name else b"" for name in charsets)
    raw = status("Final-Recipient: rfc822; ada@example.org\nAction: failed\nDiagnostic-Code: smtp; 550 SAID")
    raw = raw.replace(
        b"--b1\nContent-Type: message/delivery-status",
        b"--b1\nContent-Type: text/plain%s\n\nhi\n--b1\nContent-Type: message/delivery-status%s"
        % (of_text, of_status),
        1,
    )
    (bounce,) = bounces(raw.replace(b"SAID", said))
    assert bounce.diagnostic == f"550 {text}"


# A mutation: where (a share of the length), how many bytes go, and what comes instead.
PIECES = st.binary(max_size=8) | st.sampled_from(
    [
        b"\n\n",
        b"\n",
        b"\r",
        b":",
        b";",
        b"<",
        b">",
        b"@",
        b"(",
        b'"',
        b"\x00",
        b"\xff",
        b"\n--b1\n",
        b"=",
        b"%s",
    ]
)
MUTATIONS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 200), PIECES), min_size=1, max_size=8)


def is_read_or_refused(raw: bytes) -> None:
    try:
        report = read_report(raw)
    except DataError as error:
        assert error.code
        assert error.text
    else:
        assert report.drafts or report.skipped or report.errors
        assert all(draft.recipient for _, draft in report.drafts)


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    is_read_or_refused(raw)


@given(st.sampled_from(NAMES).map(sample), MUTATIONS)
def test_any_damaged_report_is_read_or_refused(raw: bytes, mutations: list[tuple[float, int, bytes]]) -> None:
    for share, length, piece in mutations:
        place = int(share * len(raw))
        raw = raw[:place] + piece + raw[place + length :]
    is_read_or_refused(raw)


@given(st.sampled_from(NAMES).map(sample), st.floats(0, 1))
def test_any_report_cut_short_is_read_or_refused(raw: bytes, share: float) -> None:
    is_read_or_refused(raw[: int(share * len(raw))])
