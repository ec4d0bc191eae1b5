"""What is told of a message: a reason in a sentence, whose side it is on, what to do next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.diagnosis import advice
from postloop.domain.message import MAX_STEPS, Blocked, MessageEvent, report
from postloop.domain.message.texts import duration_text
from tests.unit.domain.message.mail import any_events, any_moment, at, event

UNKNOWN_USER: dict[str, Any] = {
    "reason": "user_unknown",
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "diagnostic": "550 5.1.1 no such user",
}
any_block = st.builds(
    Blocked,
    scope=st.sampled_from(["global", "shop.example"]),
    reason=st.sampled_from(["", "user_unknown", "complaint", "manual"]),
    expires_at=st.none() | st.builds(at, st.integers(0, 10**6)),
    has_other_causes=st.booleans(),
)


@given(any_events, any_moment, st.lists(any_block, max_size=2), st.sampled_from(["en", "id", "id-ID", "tlh"]))
def test_every_message_gets_a_bounded_answer_in_sentences(
    events: list[MessageEvent], now: datetime, blocked: list[Blocked], lang: str
) -> None:
    found = report(events, now=now, blocked=blocked, lang=lang)
    assert len(found.steps) <= MAX_STEPS
    assert len(found.timeline) == len(found.verdict.events)
    sentences = [found.verdict_text, found.reason_text, *(step.text for step in found.steps)]
    assert all(text[0].isupper() and text[-1] in ".)" for text in sentences), sentences
    assert not any("{" in text for text in sentences)
    assert bool(found.support) == bool(found.steps)


def test_a_hard_bounce_names_reason_side_and_the_next_step_first() -> None:
    found = report([event("accepted"), event("hard_bounce", 2, **UNKNOWN_USER)], now=at(9))
    assert found.verdict_text == "It bounced for good, 2.0 s after it was sent."
    assert (found.reason, found.side, found.retry) == ("user_unknown", "recipient", "never")
    assert found.reason_text == "Gmail knows no account of this name."
    assert found.steps[0].text == advice("user_unknown").next_step
    assert "550 5.1.1" in found.support
    assert [item.said for item in found.timeline] == ["", "550 5.1.1 no such user"]


@pytest.mark.parametrize(
    ("blocked", "said"),
    [
        pytest.param({"reason": "user_unknown"}, "postloop blocklist unblock", id="own cause"),
        pytest.param({"reason": ""}, "Only the operator", id="another account's"),
        pytest.param({"reason": "mailbox_full", "has_other_causes": True}, "Only the operator", id="both"),
        pytest.param({"reason": "unsubscribe"}, "new consent", id="the recipient's own word"),
    ],
)
def test_a_block_is_a_step_that_names_its_end_and_who_can_lift_it(blocked: dict[str, Any], said: str) -> None:
    entry = Blocked(scope="global", expires_at=at(86_400), **blocked)
    found = report([event("suppressed", error_code="blocklisted")], now=at(9), blocked=[entry])
    texts = [step.text for step in found.steps if "2026-01-03 12:00 UTC" in step.text]
    assert len(texts) == 1
    assert said in texts[0]
    assert found.reason == "suppressed"


@pytest.mark.parametrize(
    ("reason", "lang", "said"),
    [
        pytest.param("user_unknown", "en", "(`POST /v1/blocklist/unblock`)", id="unblock"),
        pytest.param("user_unknown", "id", "(`POST /v1/blocklist/unblock`)", id="unblock, Indonesian"),
        pytest.param("complaint", "en", "the operator of the sending platform has confirmed", id="opt-in"),
        pytest.param("complaint", "id", "dikonfirmasi operator platform pengirim", id="opt-in, Indonesian"),
        pytest.param("", "en", "Only the operator", id="another account's"),
    ],
)
def test_who_asks_over_http_is_not_sent_to_a_shell(reason: str, lang: str, said: str) -> None:
    entry = Blocked(scope="shop.example", expires_at=None, reason=reason)
    found = report([event("accepted")], now=at(9), blocked=[entry], lang=lang, channel="api")
    steps = [step.text for step in found.steps]
    assert any(said in text for text in steps), steps
    assert not any("postloop " in text or "{" in text for text in steps)


def test_a_message_of_which_no_event_tells_the_sending_has_no_time_since_then() -> None:
    bounce = event("hard_bounce", 5, **UNKNOWN_USER)
    assert report([bounce], now=at(9)).verdict_text == "It bounced for good."
    assert report([event("deferral")], now=at(60)).verdict_text.startswith(
        "It is on its way: first heard of 1 min ago"
    )
    sent = event("hard_bounce", 5, sent_at=at(0), **UNKNOWN_USER)
    assert report([sent], now=at(9)).verdict_text == "It bounced for good, 5.0 s after it was sent."


def test_the_last_deferral_tells_why_a_message_waits_and_why_it_was_lost() -> None:
    events = [
        event("accepted"),
        event("deferral", 60, reason="mailbox_full"),
        event("deferral", 90, reason="greylisted"),
    ]
    assert report(events, now=at(100)).reason == "greylisted"
    assert report(events, now=at(10**6)).reason == "greylisted"
    assert report(events, now=at(100)).retry == "automatic"
    assert report(events, now=at(10**6)).retry == "once"


def test_a_refused_send_begins_with_the_cause_and_goes_on_in_the_order_of_support() -> None:
    found = report([event("rejected", error_code="FailedOperation.NotAuthenticatedSender")], now=at(9))
    assert found.reason == "sender_domain"
    assert found.steps[0].text.startswith("Sender domain")
    assert [step.text.partition(":")[0] for step in found.steps[1:]] == [
        "Permission and keys",
        "Recipient address",
        "Template and data",
        "Only by template",
    ]


@pytest.mark.parametrize("reaction", ["complaint", "unsubscribe"])
def test_what_the_recipient_said_of_a_delivered_message_is_the_reason(reaction: str) -> None:
    found = report([event("delivered", 2), event(reaction, 99)], now=at(999))
    assert (found.verdict.state, found.reason) == ("delivered", reaction)
    assert found.steps[0].text == advice(reaction).next_step


def test_a_message_that_was_read_needs_nothing() -> None:
    found = report([event("delivered", 2), event("open", 99, open_kind="human")], now=at(999))
    assert (found.steps, found.support, found.side) == ((), "", "nobody")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0.0 s"), (2.44, "2.4 s"), (59, "59 s"), (60, "1 min"), (3_605, "1 h"), (270_000, "3 d 3 h")],
)
def test_a_time_span_is_told_by_its_largest_units(seconds: float, text: str) -> None:
    assert duration_text(seconds, "en") == text


@given(st.floats(-1e9, 1e9), st.sampled_from(["en", "id"]))
def test_every_time_span_is_short(seconds: float, lang: str) -> None:
    assert 0 < len(duration_text(seconds, lang)) <= 24
