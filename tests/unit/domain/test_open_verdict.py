"""The verdict on an open rate follows the class of the mail, and is given only when it is sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.event_types import MailClass
from postloop.domain.opens import OpenCounts, OpenVerdict, Trend, describe, judge_opens


def counts(mail_class: MailClass, delivered: int, human: int, *, raw: int = 0, blind: int = 0) -> OpenCounts:
    return OpenCounts(
        mail_class=mail_class,
        delivered_count=delivered,
        human_count=human,
        raw_count=max(raw, human),
        blind_count=blind,
    )


@pytest.mark.parametrize(
    ("mail_class", "delivered", "human", "blind", "verdict"),
    [
        pytest.param("transactional", 1_000, 850, 0, "healthy", id="receipts that are read"),
        pytest.param("transactional", 1_000, 700, 0, "low", id="receipts that are not"),
        pytest.param("transactional", 1_000, 800, 0, "uncertain", id="on the line"),
        pytest.param("transactional", 1_400, 850, 400, "healthy", id="of those that can be seen"),
        pytest.param("marketing", 1_000, 400, 0, "probably_spam", id="below half"),
        pytest.param("marketing", 1_000, 600, 0, "no_fault", id="above half"),
        pytest.param("marketing", 200, 96, 0, "uncertain", id="small and near the line"),
        pytest.param("marketing", 99, 0, 0, "not_enough_data", id="too few"),
        pytest.param("marketing", 10_000, 100, 5_001, "not_enough_data", id="more than half is blind"),
        pytest.param("marketing", 10_000, 100, 5_000, "probably_spam", id="half is blind"),
        pytest.param("unknown", 10_000, 100, 0, "not_enough_data", id="no class, no measure"),
        pytest.param("transactional", 0, 5, 0, "not_enough_data", id="nothing delivered"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(
    mail_class: MailClass, delivered: int, human: int, blind: int, verdict: OpenVerdict
) -> None:
    assert judge_opens(counts(mail_class, delivered, human, blind=blind)).verdict == verdict


@pytest.mark.parametrize(
    ("trend", "verdict"),
    [("steady", "steady"), ("fallen", "fallen"), ("risen", "risen"), ("unknown", "not_enough_data")],
)
def test_notifications_are_judged_by_their_own_history_whatever_the_rate(
    trend: Trend, verdict: OpenVerdict
) -> None:
    for human in (20, 500, 990):
        report = judge_opens(counts("notification", 1_000, human), trend=trend)
        assert (report.verdict, report.line_rate) == (verdict, None)


def test_all_rates_stand_side_by_side() -> None:
    report = judge_opens(counts("marketing", 1_000, 300, raw=700, blind=400))
    assert (report.human_rate, report.raw_rate, report.blind_rate, report.visible_rate) == (
        0.3,
        0.7,
        0.4,
        0.5,
    )


classes = st.sampled_from(["transactional", "marketing", "notification", "unknown"])
_BAD_TO_GOOD = ["low", "probably_spam", "uncertain", "healthy", "no_fault"]


@given(classes, st.integers(0, 5_000), st.integers(0, 6_000), st.integers(0, 6_000), st.data())
def test_rates_are_bounded_and_one_more_open_never_makes_it_worse(
    mail_class: MailClass, delivered: int, human: int, raw: int, data: st.DataObject
) -> None:
    blind = data.draw(st.integers(0, delivered))
    before = judge_opens(counts(mail_class, delivered, human, raw=raw, blind=blind))
    after = judge_opens(counts(mail_class, delivered, human + 1, raw=raw, blind=blind))

    for rate in (before.human_rate, before.raw_rate, before.blind_rate, before.visible_rate):
        assert rate is None or 0 <= rate <= 1
    if before.verdict in _BAD_TO_GOOD:
        assert _BAD_TO_GOOD.index(before.verdict) <= _BAD_TO_GOOD.index(after.verdict)
    else:
        assert before.verdict == after.verdict


@pytest.mark.parametrize(("delivered", "human", "blind"), [(1, -1, 0), (1, 0, 2), (-1, 0, 0)])
def test_impossible_counts_are_refused(delivered: int, human: int, blind: int) -> None:
    with pytest.raises(DataError):
        counts("marketing", delivered, human, blind=blind)


def test_the_sentence_says_what_to_do_with_the_figures_in_both_languages() -> None:
    report = judge_opens(counts("marketing", 1_000, 300, raw=700, blind=100))
    assert describe(report) == (
        "It probably lands in spam: less than 50 % is opened. Look at complaints, mail those who opened lately, and"
        " compare subjects. 33.3 % of the mail that can be seen was opened by a person (30.3 % to 36.5 %); 10.0 %"
        " cannot be seen, and with machines 70.0 % of all was opened."
    )
    assert "33,3 %" in describe(report, "id-ID")
    assert describe(judge_opens(counts("marketing", 0, 0))) == "Not enough data for a verdict."
