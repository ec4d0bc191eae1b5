"""From the events of a message to one recipient: what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from postloop.domain.delivery_time import Stage, stage_of
from postloop.domain.message.model import MessageEvent, State, Verdict

_FINAL: Final[dict[str, State]] = {
    "rejected": "refused",
    "suppressed": "suppressed",
    "delivered": "delivered",
    "soft_bounce": "bounced_soft",
    "hard_bounce": "bounced_hard",
}
_STRENGTH: Final = {name: place for place, name in enumerate(_FINAL)}
"""At the same instant the later one of these counts: a bounce more than a delivery, which it replaces."""
_STOPPED: Final = frozenset({"rejected", "suppressed"})
_WAITING: Final[dict[Stage, State]] = {"awaited": "on_its_way", "overdue": "delayed", "lost": "lost"}
_REACTIONS: Final = {"complaint": "complaint", "unsubscribe": "unsubscribe", "open": "open"}


def judge(events: Iterable[MessageEvent], *, now: datetime) -> Verdict:
    """Return what became of a message to one recipient; order and repetition of events change nothing.

    The newest final event decides: so a bounce after a delivery replaces it, and a message that is sent again after
    the platform had refused it waits again. Without a final event, whatever the recipient did proves that it arrived.

    Raises:
        ValueError: there is no event.
    """
    known = in_order(events)
    if not known:
        raise ValueError("a message without events is not known")
    decided_by = _decisive(known)
    reactions = tuple(dict.fromkeys(_reaction(event) for event in known if event.outcome in _REACTIONS))
    said = _sending_times(known)
    sent_at = min(said or [known[0].occurred_at])
    state = _state(decided_by, reactions, sent_at=sent_at, now=now)
    final_at = None if decided_by is None else decided_by.occurred_at
    return Verdict(
        state=state,
        events=known,
        decided_by=decided_by,
        cause=decided_by or _last_deferral(known),
        sent_at=sent_at,
        is_sending_known=bool(said),
        final_at=final_at,
        is_late=final_at is not None
        and stage_of(sent_at=sent_at, final_at=final_at, now=final_at) == "delayed",
        is_replaced=state in ("bounced_hard", "bounced_soft")
        and any(event.outcome == "delivered" for event in known),
        reactions=reactions,
    )


def in_order(events: Iterable[MessageEvent]) -> tuple[MessageEvent, ...]:
    """Return each event once, in order of time; an event is one of its type and id."""
    ordered = sorted(
        events, key=lambda e: (e.occurred_at, _STRENGTH.get(e.outcome, -1), e.event_type, e.event_id)
    )
    by_id: dict[tuple[str, str, str], MessageEvent] = {}
    for event in ordered:
        by_id.setdefault((event.account_id, event.event_type, event.event_id), event)
    return tuple(by_id.values())


def _decisive(known: Sequence[MessageEvent]) -> MessageEvent | None:
    """Return the final event that counts, None where there is none or the message was sent again since."""
    finals = [event for event in known if event.outcome in _FINAL]
    if not finals:
        return None
    newest = finals[-1]
    if newest.outcome in _STOPPED and any(
        event.outcome not in _STOPPED and event.occurred_at > newest.occurred_at for event in known
    ):
        return None
    return newest


def _state(
    decided_by: MessageEvent | None, reactions: Sequence[str], *, sent_at: datetime, now: datetime
) -> State:
    if decided_by is not None:
        return _FINAL[decided_by.outcome]
    if reactions:
        return "delivered"
    return _WAITING[stage_of(sent_at=sent_at, final_at=None, now=now)]


def _sending_times(known: Sequence[MessageEvent]) -> list[datetime]:
    """Return when events say that it was handed to the platform, since it was refused last."""
    stopped = [event.occurred_at for event in known if event.outcome in _STOPPED]
    since = [event for event in known if not stopped or event.occurred_at > stopped[-1]] or known[-1:]
    said = [event.sent_at for event in since if event.sent_at is not None]
    return said or [event.occurred_at for event in since if event.outcome == "accepted"]


def _last_deferral(known: Sequence[MessageEvent]) -> MessageEvent | None:
    return next((event for event in reversed(known) if event.outcome == "deferral"), None)


def _reaction(event: MessageEvent) -> str:
    return f"{event.open_kind or 'human'}_open" if event.outcome == "open" else event.outcome
