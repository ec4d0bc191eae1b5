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
        pytest.param("this is not-spam", "complaint", id="ends-like-not-spam"),
        pytest.param("spam (not-spam)", "complaint", id="not-spam-in-a-comment"),
        pytest.param("not-spam", "not_spam", id="not-spam"),
        pytest.param("not_spam", "not_spam", id="not-spam-with-another-sign"),
        pytest.param("not spam", "not_spam", id="not-spam-in-two-words"),
        pytest.param("NotSpam", "not_spam", id="not-spam-in-one-word"),
        pytest.param("not-spam (moved (out) of junk)", "not_spam", id="not-spam-with-a-comment"),
        pytest.param("(moved) not-spam", "not_spam", id="not-spam-behind-a-comment"),
        pytest.param(" Not-Spam", "not_spam", id="not-spam-in-capitals"),
        pytest.param("auth-failure", "authentication_report", id="a-servers-report"),
        pytest.param("auth_failure (dmarc)", "authentication_report", id="a-servers-report-with-a-comment"),
        pytest.param("Auth-Failure ", "authentication_report", id="a-servers-report-in-capitals"),
    ],
)
def test_a_report_is_a_complaint_unless_it_says_that_it_is_none(feedback_type: str, outcome: str) -> None:
    assert outcome_of_complaint(feedback_type) == outcome


WORDS = st.sampled_from(["not", "spam", "auth", "failure", "abuse", "no", "-", "_", " ", "ſpam", "x"])


@given(st.text() | st.lists(WORDS, max_size=6).map("".join))
def test_no_other_word_takes_a_complaint_back(feedback_type: str) -> None:
    taken_back = outcome_of_complaint(feedback_type) != "complaint"
    letters = "".join(sign for sign in feedback_type.strip() if sign not in "-_ \t\n\r\f\v").lower()
    begins_with_a_sign = feedback_type.strip()[:1] in ("-", "_")
    ends_with_a_sign = feedback_type.strip()[-1:] in ("-", "_")
    is_one = letters in ("notspam", "authfailure") and not begins_with_a_sign and not ends_with_a_sign
    assert not taken_back or is_one
    assert taken_back or feedback_type.strip().lower() not in ("not-spam", "auth-failure")
