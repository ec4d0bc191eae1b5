"""What an answer means, when the next attempt is made, and when an endpoint is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.webhook.endpoint import HOUR_MS
from postloop.domain.webhook.health import HEALTHY, Health, failed, is_hopeless, succeeded
from postloop.domain.webhook.schedule import (
    DELAYS_S,
    ERROR_CLASSES,
    MAX_ATTEMPTS,
    Answer,
    ErrorClass,
    error_class,
    judge,
    retry_after_s,
)

NOW = 1_795_435_140_000
IN_TEN_MINUTES = format_datetime(datetime.fromtimestamp(NOW / 1000 + 600, UTC), usegmt=True)
LEAST, MOST = 0.0, 1 - 2**-53
answers = st.builds(
    Answer,
    status=st.integers(100, 999),
    retry_after=st.sampled_from(["", "7", "1.5", "soon", "1e9", "-1", "nan", "inf"]),
) | st.builds(Answer, error=st.sampled_from([error for error in ERROR_CLASSES if error]))


def wait_s(answer: Answer, *, attempt: int = 1, jitter: float = LEAST) -> float:
    return (judge(answer, attempt=attempt, now_ms=NOW, jitter=jitter).due_ms - NOW) / 1000


def test_the_schedule_is_the_one_of_standard_webhooks() -> None:
    waits = [wait_s(Answer(status=500), attempt=attempt) for attempt in range(1, MAX_ATTEMPTS)]
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert timedelta(seconds=sum(DELAYS_S)) == timedelta(hours=75, minutes=35, seconds=5)
    assert judge(Answer(status=500), attempt=MAX_ATTEMPTS, now_ms=NOW, jitter=LEAST).outcome == "dead"


def test_jitter_is_only_added_and_bounded() -> None:
    waits = [wait_s(Answer(status=500), attempt=attempt, jitter=MOST) for attempt in range(1, MAX_ATTEMPTS)]
    assert waits == [7, 330, 1980, 7920, 18900, 36900, 51300, 72900, 87300]


@given(answer=answers, attempt=st.integers(1, MAX_ATTEMPTS + 3), jitter=st.floats(0, MOST))
def test_any_answer_has_one_ending_and_no_retry_is_early_or_later_than_its_bound(
    answer: Answer, attempt: int, jitter: float
) -> None:
    judged = judge(answer, attempt=attempt, now_ms=NOW, jitter=jitter)
    assert (judged.outcome == "done") == (not answer.error and 200 <= answer.status <= 299)
    assert judged.disables == (judged.error == "gone")
    assert judged.outcome != "retry" or attempt < MAX_ATTEMPTS
    if judged.outcome == "retry":
        wait = judged.due_ms - NOW
        assert DELAYS_S[attempt] * 1000 <= wait <= (max(DELAYS_S[attempt], 36_000) + 900) * 1000


@given(answers, st.integers(1, MAX_ATTEMPTS - 1), st.tuples(st.floats(0, MOST), st.floats(0, MOST)))
def test_more_jitter_is_never_sooner(answer: Answer, attempt: int, jitters: tuple[float, float]) -> None:
    first, second = (judge(answer, attempt=attempt, now_ms=NOW, jitter=j).due_ms for j in sorted(jitters))
    assert first <= second


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(status=204), "", id="any 2xx"),
        pytest.param(Answer(status=308), "redirect", id="a redirect is not followed"),
        pytest.param(Answer(status=304), "redirect", id="not modified"),
        pytest.param(Answer(status=410), "gone", id="gone"),
        pytest.param(Answer(status=429), "throttled", id="too many"),
        pytest.param(Answer(status=404), "client_error", id="not found"),
        pytest.param(Answer(status=503), "server_error", id="unavailable"),
        pytest.param(Answer(status=101), "bad_status", id="switching"),
        pytest.param(Answer(error="timeout"), "timeout", id="no answer"),
        pytest.param(Answer(status=200, error="timeout"), "timeout", id="the body never ended"),
    ],
)
def test_only_2xx_is_success_and_every_failure_has_a_class(answer: Answer, expected: ErrorClass) -> None:
    assert error_class(answer) == expected


@pytest.mark.parametrize(
    ("status", "text", "expected_s"),
    [
        pytest.param(429, "", 60, id="too many without a word: a minute"),
        pytest.param(429, "120", 120, id="seconds"),
        pytest.param(429, "90.5", 90.5, id="decimals"),
        pytest.param(429, "1", 60, id="never sooner than a minute"),
        pytest.param(503, "3", 5, id="never sooner than the schedule"),
        pytest.param(503, "1000", 1000, id="503 may say when"),
        pytest.param(500, "1000", 5, id="others may not"),
        pytest.param(429, "1000000000", 36_000, id="ten hours at most"),
        pytest.param(429, "later, please", 60, id="junk"),
        pytest.param(429, "-5", 60, id="negative"),
        pytest.param(429, "nan", 60, id="no number"),
        pytest.param(429, "9" * 400, 60, id="a number beyond all"),
        pytest.param(429, IN_TEN_MINUTES, 600, id="a date"),
        pytest.param(429, "Mon, 01 Jan 2024 00:00:00 GMT", 60, id="a date that has passed"),
    ],
)  # fmt: skip
def test_retry_after_delays_within_bounds(status: int, text: str, expected_s: float) -> None:
    assert wait_s(Answer(status=status, retry_after=text)) == expected_s


@given(st.text(max_size=40))
def test_any_text_asks_for_a_time_or_for_nothing(text: str) -> None:
    asked = retry_after_s(text, now_ms=NOW)
    assert asked is None or asked >= 0


@pytest.mark.parametrize(
    ("error", "outcome", "counts"),
    [
        ("dns_not_found", "retry", True),
        ("dns_failed", "retry", False),
        ("internal", "retry", False),
        ("forbidden_address", "dead", True),
        ("timeout", "retry", True),
    ],
)
def test_our_own_trouble_does_not_count_and_the_guards_refusal_is_final(
    error: ErrorClass, outcome: str, counts: bool
) -> None:
    judged = judge(Answer(error=error), attempt=1, now_ms=NOW, jitter=LEAST)
    assert (judged.outcome, judged.counts, judged.disables) == (outcome, counts, False)


@pytest.mark.parametrize(("attempt", "jitter"), [(0, 0.5), (1, 1.0), (1, -0.1)])
def test_no_such_attempt_is_refused(attempt: int, jitter: float) -> None:
    with pytest.raises(DataError):
        judge(Answer(status=200), attempt=attempt, now_ms=NOW, jitter=jitter)


def after_failures(*hours: float) -> Health:
    health = HEALTHY
    for hour in hours:
        health = failed(health, now_ms=NOW + int(hour * HOUR_MS))
    return health


def test_five_days_of_nothing_but_failures_give_an_endpoint_up() -> None:
    assert not is_hopeless(after_failures(*range(0, 120, 4)))
    assert is_hopeless(after_failures(*range(0, 121, 4)))


def test_one_success_forgets_all_failures() -> None:
    health = succeeded(after_failures(*range(0, 117, 4)))
    assert health == HEALTHY
    assert not is_hopeless(failed(health, now_ms=NOW + 120 * HOUR_MS))


def test_a_failure_now_and_one_long_ago_prove_nothing() -> None:
    assert not is_hopeless(after_failures(0, 130))
    assert after_failures(0, 1, 242) == Health(
        first_ms=NOW + 242 * HOUR_MS, last_ms=NOW + 242 * HOUR_MS, failure_count=1
    )


@given(st.lists(st.floats(0, 119.9), max_size=40))
def test_less_than_five_days_never_give_an_endpoint_up(hours: list[float]) -> None:
    assert not is_hopeless(after_failures(*sorted(hours)))
