"""What an event counts as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.outcome import outcome_of_bounce, outcome_of_complaint, outcome_of_send


@given(st.booleans())
def test_a_bounce_that_is_still_tried_is_a_deferral_whatever_the_verdict(hard: bool) -> None:
    assert outcome_of_bounce("delayed", hard=hard) == "deferral"


def test_a_final_bounce_is_what_the_verdict_says() -> None:
    assert outcome_of_bounce("failed", hard=True) == "hard_bounce"
    assert outcome_of_bounce("failed", hard=False) == "soft_bounce"


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
