"""Counts of senders, as the tests need them."""

from __future__ import annotations

from hypothesis import strategies as st

from postloop.domain.reputation import DAY_MS, WindowCounts

T0_MS = 20_000 * DAY_MS


def mail(delivered: int, *, complaints: int = 0, hard: int = 0, refused: int = 0) -> WindowCounts:
    """Return counts of a sender all of whose mail goes to providers that report complaints."""
    return WindowCounts(
        delivered_count=delivered,
        reporting_delivered_count=delivered,
        complaint_count=complaints,
        hard_bounce_count=hard,
        soft_bounce_count=refused,
        content_refusal_count=refused,
    )


def any_mail(most: int = 20_000) -> st.SearchStrategy[WindowCounts]:
    """Return counts from nothing to disaster; there is always a delivery."""
    few = st.integers(0, 5) | st.integers(0, most // 10)
    return st.builds(mail, st.integers(1, most), complaints=few, hard=few | st.integers(0, most), refused=few)
