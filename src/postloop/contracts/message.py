"""The answer to "what became of this message?", as `postloop message` and the API give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from postloop.contracts.fields import WireTime
from postloop.domain.message import Blocked, Report, State, TimelineItem

NullableTime = Annotated[WireTime | None, Field()]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class TimelineEventV1(_Answer):
    """One event of a message."""

    at: WireTime
    since_sent_s: float | None = Field(
        description="Seconds after the sending, negative where clocks disagree; null: it is not known"
    )
    event_type: str
    outcome: str = Field(description="What the event counts as, as in column `outcome` of events")
    event_id: str
    text: str = Field(description="The event in a sentence")
    said: str = Field(description="Words of the server or the platform, empty where there are none")
    smtp_code: int | None
    enhanced_code: str
    reason: str = Field(description="Bounce reason, of bounces and deferrals")
    remote_host: str


class StepV1(_Answer):
    """One thing to do or to look at."""

    text: str
    checks: list[str]


class BlockedV1(_Answer):
    """An entry of the blocklist that stops mail to the recipient now."""

    scope: str = Field(description="global, or the sender domain")
    reason: str | None = Field(description="null where only other accounts' mail caused it")
    expires_at: NullableTime = Field(description="null: it has no end")
    has_other_causes: bool = Field(description="Another account's mail (also) caused it")


class MessageV1(_Answer):
    """A message to one recipient: what became of it, why, and what to do next."""

    message_id: str
    account_id: str
    sender_domain: str
    recipient: str
    mailbox_provider: str
    mail_class: str
    campaign_id: str
    template_id: str
    sent_at: NullableTime = Field(description="null: no event says when it was sent")
    final_at: NullableTime = Field(description="When its outcome was decided; null while it waits")
    verdict: State
    verdict_text: str = Field(description="What became of it, in a sentence")
    reason: str = Field(
        description="Bounce reason, cause of a rejected send, complaint, suppressed; or empty"
    )
    reason_text: str = Field(description="Why, in a sentence")
    side: str = Field(description="Whose side it is on, for programs")
    side_text: str
    retry: str = Field(description="Whether sending again helps, for programs")
    retry_text: str
    next_steps: list[StepV1] = Field(
        description="What to do, in this order; empty where nothing is to be done"
    )
    support: str = Field(description="What to hand to support")
    reactions: list[str] = Field(description="complaint, unsubscribe, human_open, machine_open")
    blocked: list[BlockedV1]
    timeline: list[TimelineEventV1]
    sources: list[str]
    is_complete: bool = Field(
        description="false: it has more events than `timeline` tells; those that decide are among them"
    )


class MessageAnswerV1(_Answer):
    """A message by its id: one element for each recipient, and for each account where the operator asked."""

    message_id: str
    recipients: list[MessageV1]
    is_complete: bool = Field(description="false: it has more events or recipients than one answer holds")


class MessagePageV1(_Answer):
    """Messages to one recipient, the newest first."""

    recipient: str
    messages: list[MessageV1]
    is_complete: bool = Field(
        description="false: a message has more events than are told; its own says which"
    )
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null: there is none")


def message_answer(found: Report, blocked: Sequence[Blocked], *, is_complete: bool = True) -> MessageV1:
    """Return what is told of a message to one recipient.

    Args:
        is_complete: The report was made of all of its events.
    """
    verdict, first = found.verdict, found.verdict.events[0]
    return MessageV1(
        message_id=first.message_id,
        account_id=first.account_id,
        sender_domain=first.sender_domain,
        recipient=first.recipient,
        mailbox_provider=first.mailbox_provider,
        mail_class=first.mail_class,
        campaign_id=first.campaign_id,
        template_id=first.template_id,
        sent_at=verdict.sent_at if verdict.is_sending_known else None,
        final_at=verdict.final_at,
        verdict=verdict.state,
        verdict_text=found.verdict_text,
        reason=found.reason,
        reason_text=found.reason_text,
        side=found.side,
        side_text=found.side_text,
        retry=found.retry,
        retry_text=found.retry_text,
        next_steps=[StepV1(text=step.text, checks=list(step.checks)) for step in found.steps],
        support=found.support,
        reactions=list(verdict.reactions),
        blocked=[
            BlockedV1(
                scope=entry.scope,
                reason=entry.reason or None,
                expires_at=entry.expires_at,
                has_other_causes=entry.has_other_causes,
            )
            for entry in blocked
        ],
        timeline=[_event(item, found) for item in found.timeline],
        sources=list(found.sources),
        is_complete=is_complete,
    )


def _event(item: TimelineItem, found: Report) -> TimelineEventV1:
    event, verdict = item.event, found.verdict
    since_sent_s = round((event.occurred_at - verdict.sent_at).total_seconds(), 3)
    return TimelineEventV1(
        at=event.occurred_at,
        since_sent_s=since_sent_s if verdict.is_sending_known else None,
        event_type=event.event_type,
        outcome=event.outcome,
        event_id=event.event_id,
        text=item.text,
        said=item.said,
        smtp_code=event.smtp_code or None,
        enhanced_code=event.enhanced_code,
        reason=event.reason,
        remote_host=event.remote_host,
    )
