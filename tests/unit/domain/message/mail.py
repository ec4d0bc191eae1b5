"""Events of one message, as brief as a test wants them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from postloop.domain.bounce import REASONS
from postloop.domain.message import MessageEvent

T0 = datetime(2026, 1, 2, 12, tzinfo=UTC)
TYPES = {
    "accepted": "send",
    "rejected": "send",
    "suppressed": "send",
    "delivered": "delivery",
    "hard_bounce": "bounce",
    "soft_bounce": "bounce",
    "deferral": "bounce",
    "complaint": "complaint",
    "not_spam": "complaint",
    "authentication_report": "complaint",
    "open": "open",
    "unsubscribe": "unsubscribe",
}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def event(outcome: str, seconds: float = 0, **fields: Any) -> MessageEvent:
    """Return an event so long after noon; its id follows from outcome and time."""
    known: dict[str, Any] = {
        "event_type": TYPES[outcome],
        "event_id": f"{outcome}-{seconds}",
        "outcome": outcome,
        "occurred_at": at(seconds),
        "account_id": "acme",
        "message_id": "m1",
        "sender_domain": "shop.example",
        "recipient": "anna@gmail.com",
        "mailbox_provider": "gmail",
    }
    return MessageEvent(**known | fields)


_WEEK_S = 7 * 86_400
_TEXT = st.sampled_from(
    ["", "550 5.1.1 no such user", "421 try later", "ação", "blocklisted", "TSS04", "1007"]
)


def events_of(*outcomes: str) -> st.SearchStrategy[MessageEvent]:
    """Return a strategy for events with these outcomes, within a week."""
    return st.builds(
        event,
        st.sampled_from(outcomes),
        st.integers(0, _WEEK_S),
        sent_at=st.none() | st.builds(at, st.integers(0, _WEEK_S)),
        reason=st.sampled_from(["", *REASONS, "of_a_later_release"]),
        open_kind=st.sampled_from(["", "human", "machine"]),
        smtp_code=st.sampled_from([0, 250, 421, 452, 550, 999]),
        enhanced_code=st.sampled_from(["", "5.1.1", "4.2.2", "5.7.26", "nonsense"]),
        diagnostic=_TEXT,
        error_code=_TEXT,
        error_message=_TEXT,
        mailbox_provider=st.sampled_from(["", "gmail", "microsoft", "other"]),
    )


any_events = st.lists(events_of(*sorted(TYPES)), min_size=1, max_size=6)
any_moment = st.builds(at, st.integers(0, 2 * _WEEK_S))
