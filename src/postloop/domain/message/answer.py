"""What to tell of a message: its verdict in words, why, whose side it is on, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from postloop.domain.blocklist import GLOBAL
from postloop.domain.diagnosis import Explanation, advice, diagnose_send, explain, explain_reason
from postloop.domain.message.model import Blocked, Channel, MessageEvent, Report, Step, TimelineItem, Verdict
from postloop.domain.message.texts import (
    Lift,
    blocked_text,
    event_text,
    reason_text,
    step_text,
    verdict_text,
)
from postloop.domain.message.verdict import judge
from postloop.domain.wording import DEFAULT_LANGUAGE, language_of

MAX_STEPS: Final = 10
_FROM_RECIPIENT: Final = ("complaint", "unsubscribe")


@dataclass(frozen=True, slots=True)
class _Why:
    """The reason in a sentence with its explanation, and the steps that come before those of the explanation."""

    reason: str
    text: str
    explanation: Explanation
    first: tuple[str, ...] = ()
    has_causes: bool = True


def report(
    events: Iterable[MessageEvent],
    *,
    now: datetime,
    blocked: Sequence[Blocked] = (),
    lang: str = DEFAULT_LANGUAGE,
    channel: Channel = "command_line",
) -> Report:
    """Return what to tell of a message to one recipient.

    Args:
        blocked: What stops mail to this recipient now: it changes no verdict, but what to do next.
        channel: Over which the next steps are done.

    Raises:
        ValueError: there is no event.
    """
    lang = language_of(lang)
    verdict = judge(events, now=now)
    why = _WHY[verdict.state](verdict, lang)
    steps = tuple(_steps(why, blocked, lang, channel))[:MAX_STEPS]
    explained = why.explanation
    return Report(
        verdict=verdict,
        verdict_text=_verdict_text(verdict, lang, now=now),
        reason=why.reason,
        reason_text=why.text,
        side=explained.side,
        side_text=explained.side_text,
        retry=explained.retry,
        retry_text=explained.retry_text,
        steps=steps,
        support=explained.support if steps else "",
        sources=explained.sources if why.has_causes else (),
        timeline=tuple(_item(event, lang) for event in verdict.events),
    )


def _verdict_text(verdict: Verdict, lang: str, *, now: datetime) -> str:
    name: str = verdict.state
    if verdict.state == "delivered" and verdict.decided_by is None:
        name = "delivered_proven"
    elif verdict.state == "delivered" and verdict.is_late:
        name = "delivered_late"
    elif verdict.is_replaced:
        name = "bounced_replaced"
    seconds = ((verdict.final_at or now) - verdict.sent_at).total_seconds()
    return verdict_text(name, lang, seconds=seconds, is_sending_known=verdict.is_sending_known)


def _of_bounce(verdict: Verdict, lang: str) -> _Why:
    return _of_reply(verdict.cause, lang) if verdict.cause else _of_nothing(verdict, lang)


def _of_loss(verdict: Verdict, lang: str) -> _Why:
    """Return what was last heard of a lost message; nobody tries again, whatever that was."""
    once = explain("unknown", lang)
    steps = step_text("find_feedback", lang), step_text("send_again", lang)
    if verdict.cause is None:
        return _Why("", reason_text("lost", lang), once, steps, has_causes=False)
    last = _of_reply(verdict.cause, lang)
    explained = replace(last.explanation, retry=once.retry, retry_text=once.retry_text)
    return replace(last, explanation=explained, first=steps)


def _of_reply(bounce: MessageEvent, lang: str) -> _Why:
    """Return why a server refused a message, or put it off."""
    explained = _explained(bounce, lang)
    reason = bounce.reason or "unknown"
    return _Why(reason, explained.meaning, explained, (advice(reason, lang).next_step,))


def _explained(bounce: MessageEvent, lang: str) -> Explanation:
    codes = (str(bounce.smtp_code or ""), bounce.enhanced_code)
    return explain_reason(
        bounce.reason or "unknown",
        codes=codes,
        provider=bounce.mailbox_provider,
        deferred=bounce.outcome == "deferral",
        lang=lang,
    )


def _of_nothing(verdict: Verdict, lang: str) -> _Why:
    """Return why a message waits of which no server said anything."""
    explained = explain("delayed", lang)
    if verdict.state == "on_its_way":
        text = reason_text("on_its_way", lang)
        return _Why("", text, explained, (step_text("wait", lang),), has_causes=False)
    return _Why("", explained.meaning, explained, (step_text("wait", lang),))


def _of_delivery(verdict: Verdict, lang: str) -> _Why:
    """Return what the recipient did with a delivered message; where nobody read it, where else it may be."""
    for reaction in _FROM_RECIPIENT:
        if reaction in verdict.reactions:
            said = advice(reaction, lang)
            return _Why(reaction, said.sentence, explain(reaction, lang), (said.next_step,), has_causes=False)
    # The platform's code for a delivery is nothing to hand to support.
    taken = replace(explain("DeliverStatus 1", lang), support=explain("delayed", lang).support)
    if "human_open" in verdict.reactions:
        return _Why("", reason_text("read", lang), taken, has_causes=False)
    if verdict.is_late:
        delayed = explain("delayed", lang)
        return _Why("", delayed.meaning, taken, has_causes=False)
    return _Why("", reason_text("unread", lang), taken, (step_text("look_in_spam", lang),), has_causes=False)


def _of_refusal(verdict: Verdict, lang: str) -> _Why:
    send = verdict.decided_by
    code, message = (send.error_code, send.error_message) if send else ("", "")
    explained = diagnose_send(code, message, lang=lang)
    cause = explained.causes[0].name if explained.causes and explained.causes[0].likely else "unknown"
    return _Why("suppressed" if verdict.state == "suppressed" else cause, explained.meaning, explained)


_WHY: Final[dict[str, Callable[[Verdict, str], _Why]]] = {
    "delivered": _of_delivery,
    "on_its_way": _of_bounce,
    "delayed": _of_bounce,
    "lost": _of_loss,
    "bounced_hard": _of_bounce,
    "bounced_soft": _of_bounce,
    "refused": _of_refusal,
    "suppressed": _of_refusal,
}


def _steps(why: _Why, blocked: Sequence[Blocked], lang: str, channel: Channel) -> Iterable[Step]:
    yield from (Step(text) for text in why.first)
    yield from (Step(_blocked(entry, lang, channel)) for entry in blocked)
    if why.has_causes:
        yield from (Step(cause.text, cause.checks) for cause in why.explanation.causes)


def _blocked(entry: Blocked, lang: str, channel: Channel) -> str:
    lift: Lift = "unblock"
    if entry.has_other_causes or not entry.reason:
        lift = "operator"
    elif entry.reason in _FROM_RECIPIENT:
        lift = "opt_in"
    return blocked_text(
        lang,
        scope="" if entry.scope == GLOBAL else entry.scope,
        expires_at=entry.expires_at,
        why=advice(entry.reason, lang).sentence if entry.reason else "",
        lift=lift,
        channel=channel,
    )


def _item(event: MessageEvent, lang: str) -> TimelineItem:
    name = f"{event.open_kind or 'human'}_open" if event.outcome == "open" else event.outcome
    reason = _explained(event, lang).meaning if event.event_type == "bounce" else ""
    said = (
        event.diagnostic
        or event.smtp_response
        or " ".join(part for part in (event.error_code, event.error_message) if part)
    )
    return TimelineItem(event, event_text(name, lang, reason=reason), said)
