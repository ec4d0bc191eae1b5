"""A message on a terminal: verdict first, then what to do, then what happened, in 80 columns."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.cli.message_page import list_lines, message_lines
from postloop.contracts.message import MessageV1, message_answer
from postloop.domain.message import Blocked, MessageEvent, report
from postloop.domain.message.texts import duration_text
from tests.unit.domain.message.mail import any_events, any_moment, at, event

BLOCKED = Blocked(scope="global", reason="user_unknown", expires_at=at(14 * 86_400))


def answer(events: list[MessageEvent], now: datetime, lang: str = "en") -> MessageV1:
    return message_answer(report(events, now=now, blocked=[BLOCKED], lang=lang), [BLOCKED])


@given(any_events, any_moment, st.sampled_from(["en", "id"]))
def test_every_message_fits_80_columns(events: list[MessageEvent], now: datetime, lang: str) -> None:
    found = answer(events, now, lang)
    shown = [line.plain for line in message_lines(found, lang=lang, width=80)]
    assert [
        line for line in [*shown, *(line.plain for line in list_lines(found, width=80))] if len(line) > 80
    ] == []
    assert " ".join(shown).startswith(found.verdict_text)


@given(any_events, any_moment)
def test_the_answer_is_the_same_after_a_trip_through_json(events: list[MessageEvent], now: datetime) -> None:
    found = answer(events, now)
    assert MessageV1.model_validate_json(found.model_dump_json()) == found


def test_a_bounce_reads_as_a_support_agent_needs_it() -> None:
    reply = "550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking"
    bounce = event(
        "hard_bounce", 2.1, reason="user_unknown", smtp_code=550, enhanced_code="5.1.1", diagnostic=reply
    )
    found = answer([event("accepted"), event("delivered", 1), bounce], at(9))
    assert [line.plain for line in message_lines(found, lang="en", width=80)] == [
        "It was accepted at first and bounced afterwards, 2.1 s after it was sent.",
        "Gmail knows no account of this name.",
        "m1 to anna@gmail.com (gmail), from shop.example of acme",
        "",
        "Whose side  the recipient's",
        "Send again  No: it would fail again.",
        "",
        "Next",
        " 1. Take the address from your list and ask the recipient for the right one.",
        " 2. The address is blocked for every sender until 2026-01-16 12:00 UTC: mail to",
        "    it is not sent. The recipient's mailbox does not exist. Lift the block only",
        "    if the address is surely right (`postloop blocklist unblock`).",
        " 3. Recipient address: it is misspelled or not valid.",
        "    - The address is spelled right: no blanks, one @, no typing error in the",
        "      domain (gmial.com).",
        "    - The recipient confirms the address, if it came from a form or an old list.",
        " 4. The mailbox does not exist any more.",
        "    - Take the address from the list after one such answer.",
        "    - If there are many: how old the list is and where it came from.",
        "",
        "What happened (UTC)",
        "2026-01-02 12:00:00             The platform took it.",
        "2026-01-02 12:00:01     +1.0 s  The receiving server took it.",
        "2026-01-02 12:00:02     +2.1 s  Refused for good: Gmail knows no account of this",
        "                                name.",
        "                                550-5.1.1 The email account that you tried to",
        "                                reach does not exist. Please try double-checking",
        "",
        "Hand to support: the message_id, the time with its time zone, and the code 550",
        "5.1.1.",
    ]


@pytest.mark.parametrize("lang", ["en", "id"])
@pytest.mark.parametrize("seconds", [1, 100, 3_599, 86_399, 6 * 86_400 + 23 * 3_600])
def test_a_time_and_the_span_since_the_sending_do_not_touch(seconds: int, lang: str) -> None:
    found = answer([event("accepted"), event("delivered", seconds)], at(10**6), lang)
    line = next(
        line.plain
        for line in message_lines(found, lang=lang, width=80)
        if line.plain.startswith(f"{at(seconds):%Y-%m-%d %H:%M:%S}") and "+" in line.plain
    )
    assert line[19:].startswith(" ")
    assert line.split("+")[1].startswith(duration_text(seconds, lang) + "  ")


@pytest.mark.parametrize("said", ["550 \x1b[2Jgone", "550 a\x07b\rc", "550 \x9b31m"])
def test_a_servers_words_give_the_terminal_no_orders(said: str) -> None:
    found = answer([event("hard_bounce", 2, diagnostic=said, reason="user_unknown")], at(9))
    shown = "".join(line.plain for line in message_lines(found, lang="en", width=80))
    assert shown.isprintable()
