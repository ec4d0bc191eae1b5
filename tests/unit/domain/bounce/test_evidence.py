"""What a bounce says before any rule is asked."""

import pytest

from postloop.domain.bounce import Bounce
from postloop.domain.bounce.evidence import Evidence, evidence_of
from postloop.domain.bounce.text import fold


def evidence(text: str = "", **fields: object) -> Evidence:
    return evidence_of(Bounce(diagnostic=text, **fields), fold(text), "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("550 no such user", 550, id="in front"),
        pytest.param("smtp; 550 no such user", 550, id="behind a type"),
        pytest.param("550-5.1.1 no\r\n550 5.1.1 such user", 550, id="on every line"),
        pytest.param("host mx.example said: 452-4.2.2 full", 452, id="inside a report"),
        pytest.param("550", 550, id="alone"),
        pytest.param("127", 127, id="exit status of a program"),
        pytest.param("port 2550 is closed", 0, id="part of a number"),
        pytest.param("192.0.2.550 x.550.example", 0, id="part of a name"),
        pytest.param("http://mx.example/550 error=550", 0, id="part of a link"),
        pytest.param("354 go ahead", 0, id="not a code of a final answer"),
        pytest.param("550: no such user", 550, id="before a colon"),
        pytest.param("no such user [550]", 550, id="in brackets"),
        pytest.param("smtp_response=550 no such user", 550, id="a value"),
        pytest.param("expected 250 but got 550 no", 550, id="not the code that was expected"),
        pytest.param("size 550, limit 500, line 451: ", 0, id="a number of something else"),
    ],
)
def test_a_reply_code_is_read_out_of_the_text(text: str, code: int) -> None:
    assert evidence(text).code == code


def test_the_field_counts_before_the_text() -> None:
    assert evidence("450 4.2.2 full", smtp_code=552, enhanced_code="5.2.2")[:3] == (552, "2.2", "5")


@pytest.mark.parametrize(
    ("field", "text", "status"),
    [
        pytest.param("5.0.0", "550 5.1.1 unknown", "1.1", id="vague field"),
        pytest.param("", "unknown (#5.1.1)", "1.1", id="no field"),
        pytest.param("", "#5.1.1 smtp;550", "1.1", id="behind a sharp"),
        pytest.param("5.2.1", "550 5.1.1 unknown", "2.1", id="a field that says something"),
        pytest.param("5.0.0", "550 unknown", "", id="nothing says anything"),
        pytest.param("05.01.001", "", "", id="not a status"),
        pytest.param("", "version 5.1.1.2 at 10.5.1.1", "", id="parts of longer numbers"),
        pytest.param("5.07.026", "", "7.26", id="zeros in front"),
    ],
)
def test_a_status_in_the_text_counts_before_a_vague_one(field: str, text: str, status: str) -> None:
    assert evidence(text, enhanced_code=field).status == status


@pytest.mark.parametrize(
    ("fields", "temporary"),
    [
        pytest.param({"smtp_code": 550, "enhanced_code": "5.1.1"}, False, id="both final"),
        pytest.param({"smtp_code": 450, "enhanced_code": "5.1.1"}, True, id="the code is temporary"),
        pytest.param({"smtp_code": 550, "enhanced_code": "4.1.1"}, True, id="the status is temporary"),
        pytest.param({"smtp_code": 550, "enhanced_code": "4.0.0"}, True, id="a vague status is temporary"),
        pytest.param({"smtp_code": 550, "action": " Delayed"}, True, id="still tried"),
        pytest.param({}, False, id="nothing known"),
    ],
)
def test_anything_temporary_makes_it_temporary(fields: dict[str, object], temporary: bool) -> None:
    assert evidence(**fields).is_temporary is temporary


@pytest.mark.parametrize(
    ("command", "text", "stage"),
    [
        ("RCPT", "", "rcpt"),
        ("rcpt to", "", "rcpt"),
        ("MAIL FROM", "", "before_rcpt"),
        ("CONNECT", "", "before_rcpt"),
        ("end of DATA", "", "after_rcpt"),
        (".", "", "after_rcpt"),
        ("VRFY", "(in reply to RCPT TO command)", ""),
        ("", "550 unknown (in reply to RCPT TO command)", "rcpt"),
        ("", "550 unknown (in reply to end of DATA command)", "after_rcpt"),
        ("", "SMTP error from remote mail server after MAIL FROM:<a@b.example>", "before_rcpt"),
        ("", "SMTP error from remote server after RCPT TO:<a@b.example>", "rcpt"),
        ("", "rcpt", ""),
        ("", "550 RCPT TO:<a@b.example> utente sconosciuto", "rcpt"),
        ("", "554 5.1.1 RCPT (a@b.example) dosn't exist", "rcpt"),
        ("", "550 your RCPT TO:<a@b.example> came too early", ""),
    ],
)
def test_the_stage_is_the_command_or_what_the_transcript_says(command: str, text: str, stage: str) -> None:
    assert evidence(text, smtp_command=command).stage == stage


@pytest.mark.parametrize(
    "follow_up",
    [
        pytest.param(" 503 5.0.0 need rcpt (recipient)", id="sendmail"),
        pytest.param(" 554 5.5.1 error: no valid recipients", id="postfix"),
        pytest.param(" 503 bad sequence of commands", id="words of RFC 5321"),
    ],
)
def test_a_follow_up_shows_that_rcpt_was_refused(follow_up: str) -> None:
    bounce = Bounce(diagnostic="550 user unknown", smtp_command="DATA")
    assert evidence_of(bounce, "550 user unknown", follow_up).stage == "rcpt"
    assert evidence_of(bounce, "550 user unknown", "").stage == "after_rcpt"


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        pytest.param("192.0.2.3 does not like recipient.", "rcpt", id="qmail"),
        pytest.param("192.0.2.3 failed after I sent the message.", "after_rcpt", id="qmail, DATA"),
        pytest.param("mx.example [192.0.2.3] did not like our RCPT TO: 550", "rcpt", id="dma"),
        pytest.param("mx.example did not like our final DATA: 550", "after_rcpt", id="dma, DATA"),
    ],
)
def test_sentences_of_reports_tell_the_stage(text: str, stage: str) -> None:
    assert evidence(text).stage == stage
