"""Values of report fields."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.recipient import is_redacted
from postloop.domain.reports import fields
from postloop.domain.reports.addresses import addresses_in
from postloop.domain.reports.notice import remote_host, smtp_command


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        pytest.param("rfc822; ada@example.org", ("rfc822", "ada@example.org"), id="as-in-the-rfc"),
        pytest.param("RFC822;ada@example.org", ("rfc822", "ada@example.org"), id="no-blank"),
        pytest.param("x-unix; 550 no; really", ("x-unix", "550 no; really"), id="semicolon-in-the-text"),
        pytest.param("550 5.1.1 no; really", ("", "550 5.1.1 no; really"), id="no-type"),
        pytest.param("550;no", ("", "550;no"), id="a-code-is-no-type"),
        pytest.param("", ("", ""), id="empty"),
    ],
)
def test_type_and_text(value: str, typed: tuple[str, str]) -> None:
    assert fields.typed_value(value) == typed


@pytest.mark.parametrize(
    ("value", "address"),
    [
        pytest.param("rfc822; <ada@example.org>", "ada@example.org", id="angle-brackets"),
        pytest.param('rfc822; "ada b"@example.org', '"ada b"@example.org', id="quoted"),
        pytest.param("rfc822; ada@example.org (Ada)", "ada@example.org", id="comment"),
        pytest.param(r"utf-8; \x{FC}ber@example.org", "über@example.org", id="escaped"),
        pytest.param(r"utf-8; \x{D800}\x{110000}@x", r"\x{D800}\x{110000}@x", id="no-such-character"),
        pytest.param(r"rfc822; \x{FC}@example.org", r"\x{FC}@example.org", id="escaped-only-in-utf-8"),
        pytest.param("x400; /S=ada/", "/S=ada/", id="another-kind-of-address"),
        pytest.param('"ada b"@example.org', '"ada b"@example.org', id="quoted-without-a-type"),
        pytest.param(r'"a\"b, c"@example.org', r'"a\"b, c"@example.org', id="quoted-signs-of-a-list"),
        pytest.param("Ada <ada@example.org>", "ada@example.org", id="name"),
        pytest.param('rfc822; "Ada, B." <ada@example.org>', "ada@example.org", id="quoted-name"),
        pytest.param('"bob@example.org" <ada@example.org>', "ada@example.org", id="address-as-a-name"),
        pytest.param("Lovelace, Ada <ada@example.org>", "ada@example.org", id="name-with-a-comma"),
        pytest.param('"Ada <ada@example.org>', "ada@example.org", id="quote-that-nobody-closes"),
        pytest.param("rfc822;ada@example.org;", "ada@example.org", id="semicolon-behind"),
        pytest.param("mailto:ada@example.org", "ada@example.org", id="as-a-link"),
        pytest.param("<MAILTO:ada@example.org>", "ada@example.org", id="as-a-link-in-angle-brackets"),
        pytest.param("rfc822; SMTP:ada@example.org", "ada@example.org", id="exchange"),
        pytest.param("<ada@example.org", "ada@example.org", id="half-of-the-brackets"),
        pytest.param("ada@[IPv6:2001:db8::1]", "ada@[IPv6:2001:db8::1]", id="address-literal"),
        pytest.param("ada b@example.org", "ada b@example.org", id="a-blank-is-not-guessed-away"),
        pytest.param("ada(x)@example.org", "ada(x)@example.org", id="nor-a-comment-inside"),
        pytest.param("[redacted]", "[redacted]", id="redacted"),
        pytest.param("<[redacted]@example.org>", "[redacted]@example.org", id="domain-shown"),
        pytest.param('"******@example.org"', '"******@example.org"', id="redacted-in-quotes"),
        pytest.param("undisclosed-recipients:;", "undisclosed-recipients:;", id="group-of-nobody"),
    ],
)
def test_the_address_of_a_recipient_field(value: str, address: str) -> None:
    assert fields.report_addresses(value) == [address]


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        pytest.param("<a@x.example>, <b@x.example>", ["a@x.example", "b@x.example"], id="list"),
        pytest.param("a@x.example,B <b@x.example>", ["a@x.example", "b@x.example"], id="one-with-a-name"),
        pytest.param("<a@x.example> <b@x.example>", ["a@x.example", "b@x.example"], id="no-comma"),
        pytest.param("rfc822;a@x.example, rfc822;b@x.example", ["a@x.example", "b@x.example"], id="types"),
        pytest.param("a@x.example; b@x.example;", ["a@x.example", "b@x.example"], id="semicolons"),
        pytest.param("all: a@x.example, b@x.example;", ["a@x.example", "b@x.example"], id="group"),
        pytest.param("a@x.example, a@x.example", ["a@x.example"], id="named-twice"),
        pytest.param("a@x.example, b c@x.example", ["a@x.example", "b c@x.example"], id="one-that-is-none"),
        pytest.param("rfc822;", [], id="nothing"),
        pytest.param("rfc822; <>", [], id="nobody"),
    ],
)
def test_the_addresses_of_a_recipient_field(value: str, addresses: list[str]) -> None:
    assert fields.report_addresses(value) == addresses


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        pytest.param("a@x.example, B <b@x.example>", ["a@x.example", "b@x.example"], id="with-and-without-a-name"),
        pytest.param("a@x.example b@x.example", ["a@x.example", "b@x.example"], id="blank"),
        pytest.param('"a@x.example" <b@x.example> (c@x.example)', ["b@x.example"], id="name-and-comment"),
        pytest.param(
            ",".join(f"r{n}@x.example" for n in range(9_999)), [f"r{n}@x.example" for n in range(9_999)], id="long"
        ),
        pytest.param("nobody", [], id="none"),
    ],
)  # fmt: skip
def test_the_addresses_of_a_header(value: str, addresses: list[str]) -> None:
    assert addresses_in(value) == addresses


@pytest.mark.parametrize(
    "text", ['"', '\\"', '"\\', "<", "(", "[", "<@", "a@", '@"', "a ", ")", ",", "\\", "<@ ", "@<"]
)
def test_no_value_takes_time_that_grows_faster_than_it(text: str) -> None:
    def taken_s(length: int) -> float:
        value = text * (length // len(text))
        before = time.process_time()
        addresses_in(value)
        fields.report_addresses(value)
        return time.process_time() - before

    # Four times as long: 16 times the time where it is quadratic.
    short_s = min(taken_s(10_000) for _ in range(3))
    assert min(taken_s(40_000) for _ in range(3)) < 9 * short_s + 0.02


@given(
    st.lists(st.sampled_from(["ada@x.example", "bob@x.example", '"a b"@x.example']), min_size=1), st.data()
)
def test_whoever_is_named_is_found_however_the_list_is_written(names: list[str], data: st.DataObject) -> None:
    forms = st.sampled_from(["{}", "<{}>", "Ada <{}>", '"Ada, B" <{}>', "{} (Ada)", " {} ", "<mailto:{}>"])
    value = ",".join(data.draw(forms).format(name) for name in names)
    assert addresses_in(value) == names
    assert fields.report_addresses(value) == list(dict.fromkeys(names))


@pytest.mark.parametrize(
    ("value", "code", "status"),
    [
        pytest.param("550 5.1.1 no", 550, "5.1.1", id="reply"),
        pytest.param("550-5.1.1 no 550 5.1.1 really", 550, "5.1.1", id="several-lines"),
        pytest.param("smtp;550 no", 550, "", id="with-its-type"),
        pytest.param("host x[192.0.2.1] said: 452 4.2.2 full", 452, "4.2.2", id="quoted"),
        pytest.param("after RCPT: 550 #5.7.1 no", 550, "5.7.1", id="number-sign"),
        pytest.param("connect to x[192.0.2.1]: Connection timed out", 0, "", id="an-address-is-no-status"),
        pytest.param("5.1.1.1", 0, "", id="four-numbers"),
        pytest.param("250 2.0.0 OK", 0, "2.0.0", id="success"),
        pytest.param("queued for 550 seconds", 0, "", id="a-number"),
        pytest.param("", 0, "", id="empty"),
    ],
)
def test_the_codes_of_a_diagnostic(value: str, code: int, status: str) -> None:
    assert (fields.reply_code(value), fields.enhanced_status(value)) == (code, status)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        pytest.param(
            "Mon, 23 Nov 2026 10:01:05 +0100", datetime(2026, 11, 23, 9, 1, 5, tzinfo=UTC), id="zone"
        ),
        pytest.param(
            "23 Nov 2026 09:01:05 -0000 (UTC)", datetime(2026, 11, 23, 9, 1, 5, tzinfo=UTC), id="qmail"
        ),
        pytest.param("2026-11-23T09:01:05Z", datetime(2026, 11, 23, 9, 1, 5, tzinfo=UTC), id="rfc-3339"),
        pytest.param("Mon, 30 Feb 2026 10:01:05 +0100", None, id="no-such-day"),
        pytest.param("Mon, 23 Nov 2026 10:01:05 +9999999", None, id="no-such-zone"),
        pytest.param("yesterday", None, id="no-date"),
        pytest.param("", None, id="empty"),
    ],
)
def test_the_moment_of_a_date(value: str, moment: datetime | None) -> None:
    assert fields.moment_of(value) == moment


@pytest.mark.parametrize(
    ("value", "recipient"),
    [
        pytest.param("bounces+ada=example.org@acme.example", "ada@example.org", id="plus"),
        pytest.param(
            "<b+ada.l=mail.example.org@acme.example>", "ada.l@mail.example.org", id="angle-brackets"
        ),
        pytest.param(
            "list-mary-ann=example.org@acme.example", "", id="a-hyphen-does-not-tell-where-it-begins"
        ),
        pytest.param("bounces+7@acme.example", "", id="another-tag"),
        pytest.param("bounces+a=b@acme.example", "", id="no-domain"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_recipient_in_a_return_path(value: str, recipient: str) -> None:
    assert fields.verp_recipient(value) == recipient


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        pytest.param(
            '"Acme, a@b.example" <news@News.Acme.example>', "news.acme.example", id="name-with-address"
        ),
        pytest.param("news@acme.example (News)", "acme.example", id="bare"),
        pytest.param("<>", "", id="null-sender"),
        pytest.param("MAILER-DAEMON", "", id="no-address"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_domain_of_a_sender(value: str, domain: str) -> None:
    assert fields.domain_in(value) == domain


@pytest.mark.parametrize(
    ("text", "command"),
    [
        pytest.param("said: 550 no (in reply to RCPT TO command)", "RCPT", id="postfix"),
        pytest.param("(in reply to end of DATA command)", "DATA", id="postfix-at-the-end"),
        pytest.param("SMTP error from remote mail server after MAIL FROM:<a@b>:", "MAIL", id="exim"),
        pytest.param(
            "SMTP error from remote mail server after pipelined RCPT TO:<a@b>:", "RCPT", id="pipelined"
        ),
        pytest.param("SMTP error from remote mail server after end of data:", "DATA", id="exim-at-the-end"),
        pytest.param(
            "SMTP error from remote mail server after initial connection:", "CONNECT", id="greeting"
        ),
        pytest.param(
            "connect to mx.example.org[192.0.2.1]:25: Connection refused", "CONNECT", id="connection"
        ),
        pytest.param("timed out while sending RCPT TO", "RCPT", id="while-sending"),
        pytest.param(">>> DATA", "DATA", id="transcript"),
        pytest.param("we will look after your order", "", id="prose"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_command_that_was_refused(text: str, command: str) -> None:
    assert smtp_command(text) == command


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("host mx.example.org[192.0.2.25] said: 550", "mx.example.org"),
        ("host MX.example.org [192.0.2.25]", "mx.example.org"),
        ("... while talking to mx.example.org.:", "mx.example.org"),
        ("lost connection with mx.example.org[192.0.2.25] while", "mx.example.org"),
        ("Remote host said: 550", ""),
        ("host unknown", ""),
    ],
)
def test_the_host_that_refused(text: str, host: str) -> None:
    assert remote_host(text) == host


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("redacted", True),
        ("Redacted@example.org", True),
        ("[redacted]", True),
        ("redacted-abc123@example.org", True),
        ("<redacted>", True),
        ("*****@example.org", True),
        ("xxxxxxxx@example.org", True),
        ("undisclosed-recipients:;", True),
        ("redactedly@example.org", False),
        ("xxxxxavier@example.org", False),
        ("xx@example.org", False),
        ("ada@redacted.example", False),
        ("ada@example.org", False),
        ("", False),
    ],
)
def test_what_was_blacked_out(text: str, redacted: bool) -> None:
    assert is_redacted(text) == redacted


@given(st.text())
def test_every_value_is_read_whatever_it_is(value: str) -> None:
    fields.typed_value(value)
    assert all(fields.report_addresses(value))
    assert all("@" in address for address in addresses_in(value))
    fields.message_id_in(value)
    assert fields.moment_of(value) is None or fields.moment_of(value)
    assert 400 <= fields.reply_code(value) <= 599 or fields.reply_code(value) == 0
    assert "@" not in fields.domain_in(value)
    is_redacted(value)
