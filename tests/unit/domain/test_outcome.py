"""Outcomes by reply code, until a classifier knows better."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.event_types import BounceAction
from postloop.domain.outcome import outcome_of_bounce, outcome_of_complaint, outcome_of_send


@pytest.mark.parametrize(
    ("smtp_code", "enhanced_code", "outcome"),
    [
        pytest.param(550, "5.1.1", "hard_bounce", id="both-say-hard"),
        pytest.param(452, "4.2.2", "soft_bounce", id="both-say-soft"),
        pytest.param(550, "4.2.2", "hard_bounce", id="reply-code-first"),
        pytest.param(450, "5.1.1", "soft_bounce", id="reply-code-first-when-soft"),
        pytest.param(0, "5.1.1", "hard_bounce", id="enhanced-alone"),
        pytest.param(0, " 5.1.10", "hard_bounce", id="enhanced-with-blank"),
        pytest.param(0, "4.4.7", "soft_bounce", id="enhanced-soft"),
        pytest.param(250, "5.0.0", "hard_bounce", id="reply-code-of-success-says-nothing"),
        pytest.param(0, "", "soft_bounce", id="nothing-known-is-soft"),
        pytest.param(0, "5", "soft_bounce", id="no-enhanced-code"),
        pytest.param(0, "511", "soft_bounce", id="no-dots"),
        pytest.param(600, "", "soft_bounce", id="no-such-reply-code"),
    ],
)
def test_a_final_bounce(smtp_code: int, enhanced_code: str, outcome: str) -> None:
    assert outcome_of_bounce("failed", smtp_code=smtp_code, enhanced_code=enhanced_code) == outcome


@given(st.integers(0, 999), st.text(max_size=8))
def test_a_delayed_bounce_is_always_a_deferral(smtp_code: int, enhanced_code: str) -> None:
    assert outcome_of_bounce("delayed", smtp_code=smtp_code, enhanced_code=enhanced_code) == "deferral"


@given(st.sampled_from(["failed", "delayed"]), st.integers(400, 499), st.text(max_size=8))
def test_a_4xx_reply_is_never_hard(action: BounceAction, smtp_code: int, enhanced_code: str) -> None:
    assert outcome_of_bounce(action, smtp_code=smtp_code, enhanced_code=enhanced_code) != "hard_bounce"


def test_a_send_stopped_by_the_blocklist_is_suppressed() -> None:
    assert outcome_of_send("rejected", error_code="blocklisted") == "suppressed"
    assert outcome_of_send("rejected", error_code="quota") == "rejected"
    assert outcome_of_send("accepted", error_code="blocklisted") == "accepted"


@pytest.mark.parametrize(
    ("feedback_type", "outcome"),
    [
        pytest.param("abuse", "complaint", id="abuse"),
        pytest.param("fraud", "complaint", id="fraud"),
        pytest.param("virus", "complaint", id="virus"),
        pytest.param("other", "complaint", id="other"),
        pytest.param("", "complaint", id="not-told"),
        pytest.param("later-type", "complaint", id="unknown"),
        pytest.param("not-spam-at-all", "complaint", id="begins-like-not-spam"),
        pytest.param("not-spam", "not_spam", id="not-spam"),
        pytest.param(" Not-Spam", "not_spam", id="not-spam-in-capitals"),
        pytest.param("auth-failure", "authentication_report", id="a-servers-report"),
        pytest.param("Auth-Failure ", "authentication_report", id="a-servers-report-in-capitals"),
    ],
)
def test_a_report_is_a_complaint_unless_it_says_that_it_is_none(feedback_type: str, outcome: str) -> None:
    assert outcome_of_complaint(feedback_type) == outcome


@given(st.text())
def test_no_other_word_takes_a_complaint_back(feedback_type: str) -> None:
    taken_back = outcome_of_complaint(feedback_type) != "complaint"
    assert taken_back == (feedback_type.strip().lower() in ("not-spam", "auth-failure"))
