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
        ("abuse", "complaint"),
        ("", "complaint"),
        ("later-type", "complaint"),
        ("not-spam", "not_spam"),
        (" Not-Spam", "not_spam"),
    ],
)
def test_only_not_spam_withdraws_a_complaint(feedback_type: str, outcome: str) -> None:
    assert outcome_of_complaint(feedback_type) == outcome
