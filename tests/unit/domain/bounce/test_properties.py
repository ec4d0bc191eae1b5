"""What must hold for every bounce, whatever its text."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from postloop.domain.bounce import FACTS, REASONS, Bounce, Verdict, classify
from postloop.domain.bounce.rulebook import rulebook
from postloop.domain.bounce.text import MAX_HEAD, MAX_TAIL
from tests.unit.domain.bounce.samples import SAMPLES

LINES = [sample.bounce.diagnostic or "" for sample in SAMPLES]
texts = (
    st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.sampled_from(LINES)
)
words = st.sampled_from(
    [*sorted(rulebook().vocabulary.signs), "550", "5.1.1", "a@b.example", "192.0.2.1", ".", ";"]
)
sentences = st.lists(words, max_size=20).map(" ".join)
replies = st.sampled_from(LINES) | sentences
bounces = st.builds(
    Bounce,
    smtp_code=st.none() | st.integers(),
    enhanced_code=st.none() | st.text(max_size=9) | st.sampled_from(["5.1.1", "4.2.2", "5.0.0"]),
    diagnostic=st.none() | texts | sentences,
    remote_host=st.none() | st.text(max_size=20) | st.sampled_from(["mx.google.com", "x.mx.example"]),
    recipient_domain=st.none() | st.text(max_size=20),
    smtp_command=st.none() | st.text(max_size=8) | st.sampled_from(["RCPT", "DATA", "MAIL"]),
    action=st.sampled_from([None, "", "failed", "delayed", "relayed"]),
)


def verdict_of(text: str) -> Verdict:
    return classify(Bounce(diagnostic=text))


@given(bounces)
def test_any_bounce_has_a_verdict(bounce: Bounce) -> None:
    verdict = classify(bounce)
    assert verdict.reason in REASONS
    assert verdict.fault == FACTS[verdict.reason].fault
    assert 0.0 <= verdict.confidence <= 1.0
    assert verdict.rule


@given(bounces)
def test_only_a_lost_address_is_hard_and_never_when_anything_is_temporary(bounce: Bounce) -> None:
    verdict = classify(bounce)
    if verdict.hard:
        assert verdict.reason in ("user_unknown", "host_unknown")
        assert verdict.fault == "recipient"
        assert bounce.action != "delayed"
        assert (bounce.smtp_code or 0) // 100 != 4
        assert not (bounce.enhanced_code or "").startswith("4.")


@given(bounces)
def test_before_rcpt_no_recipient_is_at_fault(bounce: Bounce) -> None:
    if (bounce.smtp_command or "") == "MAIL":
        assert classify(bounce).fault != "recipient"


@given(replies, st.data())
def test_a_fold_changes_nothing(text: str, data: st.DataObject) -> None:
    blanks = [match.start() for match in re.finditer(" ", text)]
    assume(blanks)
    places = data.draw(st.sets(st.sampled_from(blanks), min_size=1))
    folded = "".join("\r\n " if place in places else letter for place, letter in enumerate(text))
    assert verdict_of(folded) == verdict_of(text)


@given(
    replies,
    st.sampled_from(["550", "552", "450"]),
    st.sampled_from(["", "5.1.1", "5.7.1", "4.2.0"]),
    st.data(),
)
def test_a_hyphenated_continuation_changes_nothing(
    text: str, code: str, status: str, data: st.DataObject
) -> None:
    pieces = re.sub(r"\b[245]\d\d\b|\b[245]\.\d+\.\d+\b", "", text).split()
    assume(len(pieces) > 1)
    cut = data.draw(st.integers(1, len(pieces) - 1))
    head, tail = " ".join(pieces[:cut]), " ".join(pieces[cut:])
    prefix = f" {status}" if status else ""
    joined = f"{code}{prefix} {head} {tail}"
    hyphen = f"-{status}" if status else "-"
    assert verdict_of(f"{code}{hyphen} {head}\r\n{code}{prefix} {tail}") == verdict_of(joined)


@pytest.mark.parametrize(
    "text",
    [
        "503 5.5.1 Recipient mailbox is full",
        "554 5.5.1 user ann@example.com does not exist",
        "503 This mail server requires authentication",
        "550 198.51.100.4 is not authorized to send",
        "550 5.7.1 198.51.100.4 is not authorized to send",
    ],
)
def test_a_line_that_looks_like_a_refusal_that_followed_is_a_continuation(text: str) -> None:
    code, *words = text.split()
    status = f"{words.pop(0)} " if words[0].count(".") == 2 else ""
    for cut in range(1, len(words)):
        head, tail = " ".join(words[:cut]), " ".join(words[cut:])
        assert verdict_of(f"{code}-{status}{head}\r\n{code} {status}{tail}") == verdict_of(text)


@given(replies | st.text())
def test_case_changes_nothing(text: str) -> None:
    verdict = verdict_of(text)
    assert verdict_of(text.upper()) == verdict
    assert verdict_of(text.lower()) == verdict


QUEUE_IDS = [
    " [Message-ID: 4F2A91C0B7]",
    " Message-ID: 4F2A91C0B7",
    " (message id 4F2A91C0B7)",
    " (queue id 4F2A91C0B7)",
    " 4bXyZ123kQz9",
    " [AM7EUR03FT042.eop-EUR03.example]",
    " x1si1234567qkb.99 - gsmtp",
    " (9f8a7b6c-1234)",
]
MESSAGE_ID = " <20260301.4711@mail.sender.example>"  # an address is a word of some rules: whole replies only


@given(
    st.tuples(replies, st.sampled_from(QUEUE_IDS)) | st.tuples(st.sampled_from(LINES), st.just(MESSAGE_ID))
)
@example(("550 5.1.1 user unknown", " 1rAbCd-0004xY-Zz"))
def test_a_message_or_queue_id_at_the_end_changes_nothing(ended: tuple[str, str]) -> None:
    text, queue_id = ended
    assert verdict_of(text + queue_id) == verdict_of(text)


# How programs and libraries show a reply; CODE and TEXT are its parts. None of them says anything of its own.
SHOWN = {
    "a relay": "The mail server responded: CODE TEXT",
    "relays of relays": "Delivery to the recipient failed permanently: smtp response: CODE TEXT",
    "a mailer": "An error occurred while trying to deliver the mail to the following recipients: CODE TEXT",
    "Haraka": "Some recipients failed: <joe@example.com>: CODE TEXT",
    "Exchange": "Remote Server at mx.example.com (192.0.2.4) returned 'CODE TEXT'",
    "smtplib": "{'joe@example.com': (CODE, b'TEXT')}",
    "JavaMail": "com.sun.mail.smtp.SMTPAddressFailedException: CODE TEXT",
    "Ruby": "Net::SMTPFatalError: CODE TEXT",
    "Symfony": 'Expected response code 250 but got code "CODE", with message "CODE TEXT"',
    "a log": "SMTP error code CODE TEXT",
    "another log": "smtp CODE TEXT",
    "a service": "Hard bounce: CODE TEXT",
    "a program": "Failed to send email to joe@example.com: CODE TEXT",
    "Sendmail": "... while talking to mx.example.com.: <<< CODE TEXT",
}
_reply = re.compile(r"[45]\d\d [^\n]* [^\n]*").fullmatch


@given(st.sampled_from(list(filter(_reply, LINES))))
@example("502 5.5.1 Unknown command")
@example("550 mailbox unavailable")
@example("550 5.0.1 Recipient rejected: not a user of this host")
@example("503 RCPT first")
def test_how_a_program_shows_a_reply_changes_nothing(text: str) -> None:
    expected = classify(Bounce(diagnostic=text))
    shown = {
        name: classify(Bounce(diagnostic=frame.replace("TEXT", text[4:]).replace("CODE", text[:3])))
        for name, frame in SHOWN.items()
    }
    assert {name: (v.reason, v.hard) for name, v in shown.items()} == dict.fromkeys(
        SHOWN, (expected.reason, expected.hard)
    )


@pytest.mark.parametrize("owner", ["<ann@example.com>: ", "ann@example.com: "])
@pytest.mark.parametrize(
    "text",
    [
        "503 5.5.1 Bad sequence of commands",
        "501 Invalid argument",
        "500 unrecognized command",
        "554 5.7.1 Invalid IP",
        "550 unknown client host",
        "554 5.6.0 Invalid message",
        "554 unknown internal error",
        "501 5.5.4 Invalid domain name",
        "550 ann@example.com invalid signature",
        "invalid certificate",
        "connection invalid",
        "bad attachment",
        "invalid DNS MX or A/AAAA resource record",
    ],
)
def test_what_is_invalid_behind_an_address_need_not_be_the_address(owner: str, text: str) -> None:
    assert not verdict_of(owner + text).hard


def test_the_addresses_of_java_mail_are_not_invalid_because_it_says_so() -> None:
    cause = "com.sun.mail.smtp.SMTPAddressFailedException: 552 5.2.2 mailbox full"
    text = f"javax.mail.SendFailedException: Invalid Addresses; nested exception is: {cause}"
    assert verdict_of(text).reason == "mailbox_full"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("error from remote server: 550 no such user", 26, id="a head"),
        pytest.param("delivery failed: remote server said: 550 no such user", 37, id="two of them"),
        pytest.param("bounced: 550 no such user", 9, id="one word"),
        pytest.param("delivery failed: blocked", 0, id="too little follows"),
        pytest.param("address rejected: 550 no such user", 0, id="it says more than that it failed"),
        pytest.param("remote server: no such user", 0, id="it says nothing"),
        pytest.param("smtp error code 550 no such user", 16, id="the code says it"),
        pytest.param("relay 450 denied", 6, id="of a word that could mean something"),
        pytest.param(f"{'error ' * 51}: 550 no such user", 0, id="too long"),
    ],
)
def test_a_head_says_only_that_somebody_answered_or_that_it_failed(text: str, length: int) -> None:
    assert rulebook().head(text) == length


@given(
    replies,
    st.sampled_from(["http://help.example.com", "https://help.example.com", "www.example.com"]),
    st.lists(words.filter(lambda word: word.isascii() and " " not in word), min_size=1, max_size=4),
    st.sampled_from("/_-"),
)
@example("550 Invalid User", "http://mail.example.com", ["help", "spam", "16.htm"], "_")
@example("", "http://help.example.com", ["400", "200", "200", "adresat"], "-")
def test_what_the_path_of_a_link_says_changes_nothing(
    text: str, host: str, path: list[str], between: str
) -> None:
    link = f"{text} {host}/"
    assert verdict_of(f"{link}{between.join(path)}x") == verdict_of(f"{link}x")


@given(st.sampled_from(SAMPLES))
def test_a_delayed_bounce_is_never_hard(sample: object) -> None:
    bounce = sample.bounce  # type: ignore[attr-defined]
    assert not classify(Bounce(diagnostic=bounce.diagnostic, action="delayed")).hard


@pytest.mark.parametrize("filler", ["x", "user unknown ", "5.1.1 ", ". ", "\u0301", "用户"])
def test_a_reply_of_a_megabyte_is_looked_at_in_part(filler: str) -> None:
    """What is looked at is bounded, so time and memory are: bench/classify.py measures them."""
    text = (filler * (1_000_000 // len(filler)))[:1_000_000]
    assert verdict_of(text) == verdict_of(f"{text[:MAX_HEAD]} {text[-MAX_TAIL:]}")
