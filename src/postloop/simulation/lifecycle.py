"""What happens to one message: from the sending to opens, complaints and bounces that come late."""

from __future__ import annotations

import json
import math
import random
from typing import Final

from postloop.simulation import columns, replies
from postloop.simulation.drafts import Draft, Message
from postloop.simulation.mailboxes import (
    APPLE_MPP_AGENT,
    CLIENT_AGENTS,
    GMAIL_AGENT,
    MAILBOXES,
    SCANNER_AGENTS,
    Mailbox,
    lognormal_table_ms,
)
from postloop.simulation.replies import Reply, pick
from postloop.simulation.world import MALFORMED_ADDRESSES, UNUSUAL_ADDRESSES, Stream, World

_LOST_RATE: Final = 0.001
_OUT_OF_BAND_RATE: Final = 0.001
_SUPPRESSED_RATE: Final = 0.006
_TWO_RECIPIENTS_RATE: Final = 0.02
_UNUSUAL_RATE: Final = 0.004
_MALFORMED_RATE: Final = 0.001
_SLOW_RATE: Final = 0.015  # deliveries that take minutes to hours without a deferral being told
_REOPEN_RATE: Final = 0.2
_CAPITALS_EVERY: Final = 37  # every 37th reader writes the address with capitals
_MIN_SLOW_MS: Final = 300_000
_MAX_SLOW_MS: Final = 6 * 3_600_000
# An image proxy that fetches within 2 s is a machine, and who does not know the delivery measures from the sending.
# Opens by proxy keep clear of the line on both sides, so that both ways of measuring agree: what a recorder knew of
# deliveries, before or after it was killed, makes no difference to the truth.
_PROXY_AT_ONCE_MS: Final = 1_900
_PROXY_LATER_MS: Final = 3_000
_PLACE_OF: Final = {mailbox.provider: place for place, mailbox in enumerate(MAILBOXES)}
_REFERENCES: Final = ("k7x2m9q4", "f3v8c1z6", "p5t0w2r9", "h8j4n6b1", "d2s7g3y5")


class Postman:
    """Makes messages and tells what becomes of them."""

    def __init__(self, world: World, rng: random.Random, *, machine_opens: float) -> None:
        self._world = world
        self._rng = rng
        self._random = rng.random
        self._serial = 0
        self._latencies = tuple(lognormal_table_ms(box.latency_s, box.spread) for box in MAILBOXES)
        self._reading = {s.open_median_s: lognormal_table_ms(s.open_median_s, 1.2) for s in world.streams}
        average = sum(box.share * box.machine_factor for box in MAILBOXES)
        self._machine_rates = tuple(
            min(1.0, machine_opens * box.machine_factor / average) for box in MAILBOXES
        )

    def messages(self, now_ms: int) -> list[Message]:
        """Return the copies of the next message, usually one, each with everything that happens to it."""
        stream = self._world.stream(self._random())
        campaign = int(self._random() * len(stream.campaigns))
        copies = 2 if self._random() < _TWO_RECIPIENTS_RATE else 1
        message_id = f"{self._rng.getrandbits(64):016x}@{stream.sender_domain}"
        made = [self._message(now_ms, stream, campaign, message_id) for _ in range(copies)]
        # Message and recipient name one copy: a second one to the same address could not be told from the first, and
        # an open of the one be taken for a fetch at the delivery of the other.
        return made if len({message.recipient.lower() for message in made}) == copies else made[:1]

    def _message(self, now_ms: int, stream: Stream, campaign: int, message_id: str) -> Message:
        place, reader, recipient, is_malformed = self._address()
        self._serial += 1
        message = Message(
            serial=self._serial,
            message_id=message_id,
            stream=stream,
            mailbox=place,
            campaign=campaign,
            reader=reader,
            recipient=recipient,
            is_malformed=is_malformed,
            sent_ms=now_ms,
        )
        self._live(message)
        return message

    def _address(self) -> tuple[int, int, str, bool]:
        draw = self._random()
        place = self._world.mailbox(self._random())
        reader, recipient = self._world.recipient(MAILBOXES[place], self._random())
        if draw >= _UNUSUAL_RATE:
            return place, reader, (recipient if reader % _CAPITALS_EVERY else recipient.title()), False
        is_malformed = draw < _MALFORMED_RATE
        form, provider = self._rng.choice(MALFORMED_ADDRESSES if is_malformed else UNUSUAL_ADDRESSES)
        return _PLACE_OF[provider], reader, form % reader, is_malformed

    def _live(self, message: Message) -> None:
        mailbox = MAILBOXES[message.mailbox]
        at_ms = self._attempts(message, mailbox)
        if not self._send(message):
            message.drafts.clear()
            self._send_refused(message)
            return
        if self._random() < _LOST_RATE:
            return
        bounce_rate = 1.0 if message.is_malformed else mailbox.bounce_rate * message.stream.bounce_factor
        if self._random() < bounce_rate:
            pool = replies.MALFORMED if message.is_malformed else mailbox.replies
            self._bounce(message, pick(pool, self._random()), at_ms)
            return
        self._deliver(message, mailbox, at_ms)

    def _send(self, message: Message) -> bool:
        """Add the send event and return whether it was accepted."""
        if self._random() < message.stream.reject_rate + _SUPPRESSED_RATE:
            return False
        message.drafts.insert(0, Draft("send", message.sent_ms, (columns.SEND,), ',"status":"accepted"'))
        return True

    def _send_refused(self, message: Message) -> None:
        suppressed = self._random() * (message.stream.reject_rate + _SUPPRESSED_RATE) < _SUPPRESSED_RATE
        if suppressed:
            code, text, column = "blocklisted", "The address is on the blocklist", columns.SUPPRESSED
        else:
            code, text = self._rng.choice(replies.SEND_ERRORS)
            column = columns.REJECTED
        tail = f',"status":"rejected","error_code":"{code}","error_message":"{text}"'
        message.drafts.append(Draft("send", message.sent_ms, (columns.SEND, column), tail))

    def _attempts(self, message: Message, mailbox: Mailbox) -> int:
        """Add the deferrals and return when the last attempt was answered.

        A message that takes long was mostly sent before now: the part before now is not shown.
        """
        table = self._latencies[message.mailbox]
        took_ms = table[int(self._random() * len(table))] + int(self._random() * 97)
        draw = self._random()
        if draw < mailbox.deferral_rate:
            moments = self._deferral_moments()
        elif draw < mailbox.deferral_rate + _SLOW_RATE:
            took_ms += int(_MIN_SLOW_MS * math.exp(self._random() * math.log(_MAX_SLOW_MS / _MIN_SLOW_MS)))
            moments = []
        else:
            return message.sent_ms + took_ms
        total_ms = took_ms + (moments[-1] if moments else 0)
        now_ms = message.sent_ms
        if total_ms > _MIN_SLOW_MS:
            message.sent_ms -= int(self._random() * total_ms)
            message.not_before_ms = now_ms
        pool = replies.GREYLISTED if self._random() < 0.6 else replies.THROTTLED
        for attempt, moment in enumerate(moments, start=1):
            reply = pick(pool, self._random())
            self._refusal(message, reply, message.sent_ms + moment, attempt=attempt, is_final=False)
        return message.sent_ms + total_ms

    def _deferral_moments(self) -> list[int]:
        """Return when the attempts failed that are retried, in ms after the sending."""
        moments, at_ms, wait_ms = [], int(800 + 4000 * self._random()), 60_000.0
        while True:
            moments.append(at_ms)
            if len(moments) == 6 or self._random() < 0.55:
                return moments
            wait_ms *= 1.5 + 2.0 * self._random()
            at_ms += int(wait_ms)

    def _bounce(self, message: Message, reply: Reply, at_ms: int) -> None:
        self._refusal(message, reply, at_ms, attempt=len(message.drafts), is_final=True)

    def _refusal(self, message: Message, reply: Reply, at_ms: int, *, attempt: int, is_final: bool) -> None:
        mailbox = MAILBOXES[message.mailbox]
        host = mailbox.hosts[message.reader % len(mailbox.hosts)]
        text = reply.text.format(
            rcpt=message.recipient,
            host=host,
            ip=message.stream.source_ip,
            sender=message.stream.sender_domain,
            ref=_REFERENCES[message.serial % len(_REFERENCES)],
        )
        # "failed" is the default, and some producers leave it out.
        said = not is_final or self._random() < 0.7
        fields: dict[str, object] = {"action": "failed" if is_final else "delayed"} if said else {}
        if reply.code:
            fields["smtp_code"] = reply.code
        known = {"enhanced_code": reply.enhanced, "smtp_command": reply.command}
        fields |= {name: value for name, value in known.items() if value}
        fields |= {"diagnostic": text, "remote_host": host, "source_ip": message.stream.source_ip}
        if attempt:
            fields["attempt"] = attempt
        tail = "," + json.dumps(fields, separators=(",", ":"), ensure_ascii=False)[1:-1]
        message.drafts.append(Draft("bounce", at_ms, _refused(reply, is_final), tail, reason=reply.reason))

    def _deliver(self, message: Message, mailbox: Mailbox, at_ms: int) -> None:
        stream = message.stream
        counts = _REPORTED if mailbox.reports else _DELIVERED
        reference = f"{message.serial:x}{_REFERENCES[message.serial % len(_REFERENCES)]}"
        tail = (
            f',"smtp_response":"{mailbox.accepted % reference}",'
            f'"remote_host":"{mailbox.hosts[0]}","source_ip":"{stream.source_ip}"'
        )
        latency_ms = at_ms - message.sent_ms if stream.tells_sent_at else -1
        message.drafts.append(Draft("delivery", at_ms, counts, tail, latency_ms=latency_ms))
        self._machine_opens(message, mailbox, at_ms)
        self._feedback(message, mailbox, at_ms)
        if self._random() < _OUT_OF_BAND_RATE:
            late_ms = at_ms + 5_000 + int(self._random() * 600_000)
            self._refusal(
                message, pick(replies.OUT_OF_BAND, self._random()), late_ms, attempt=0, is_final=True
            )

    def _machine_opens(self, message: Message, mailbox: Mailbox, at_ms: int) -> None:
        if self._random() >= self._machine_rates[message.mailbox]:
            return
        if mailbox.provider == "gmail":
            soon_ms = message.sent_ms + _PROXY_AT_ONCE_MS
            if message.stream.tells_sent_at and at_ms < soon_ms:
                self._open(
                    message, at_ms + int(self._random() * (soon_ms - at_ms)), GMAIL_AGENT, is_human=False
                )
            return
        if mailbox.provider == "corporate":
            agent, within_ms = SCANNER_AGENTS[message.serial % len(SCANNER_AGENTS)], 30_000
        else:
            agent, within_ms = APPLE_MPP_AGENT, 900_000
        self._open(message, at_ms + 500 + int(self._random() * within_ms), agent, is_human=False)

    def _feedback(self, message: Message, mailbox: Mailbox, at_ms: int) -> None:
        """Add what a person does: opening, complaining, unsubscribing."""
        stream = message.stream
        if self._random() < stream.open_rate and mailbox.open_agents:
            agents = mailbox.open_agents
            agent = agents[message.reader % len(agents)]
            at_ms = self._read(message, at_ms, agent)
            if self._random() < _REOPEN_RATE:
                again = (
                    agent
                    if agents is not CLIENT_AGENTS
                    else CLIENT_AGENTS[(message.reader + 1) % len(CLIENT_AGENTS)]
                )
                at_ms = self._read(message, at_ms, again)
        if mailbox.reports and self._random() < stream.complaint_rate / 0.4:
            kind, counts = _COMPLAINTS[int(self._random() * len(_COMPLAINTS))]
            tail = f',"feedback_type":"{kind}","reporting_provider":"{mailbox.provider}"'
            message.drafts.append(
                Draft("complaint", at_ms + 20_000 + int(self._random() * 900_000), counts, tail)
            )
        if self._random() < stream.unsubscribe_rate:
            method = _METHODS[int(self._random() * len(_METHODS))]
            at_ms += 2_000 + int(self._random() * 120_000)
            message.drafts.append(Draft("unsubscribe", at_ms, _UNSUBSCRIBED, f',"method":"{method}"'))

    def _read(self, message: Message, after_ms: int, agent: str) -> int:
        table = self._reading[message.stream.open_median_s]
        at_ms = after_ms + _PROXY_LATER_MS + table[int(self._random() * len(table))]
        self._open(message, at_ms, agent, is_human=True)
        return at_ms

    def _open(self, message: Message, at_ms: int, agent: str, *, is_human: bool) -> None:
        tail = f',"user_agent":"{agent}","client_ip":"203.0.113.{message.reader % 250}"' if agent else ""
        message.drafts.append(Draft("open", at_ms, _OPENED, tail, is_human=is_human))


def _refused(reply: Reply, is_final: bool) -> tuple[int, ...]:
    """Return the counters that a refusal raises."""
    if not is_final:
        return (columns.DEFERRAL,)
    bounce = columns.HARD_BOUNCE if reply.is_hard else columns.SOFT_BOUNCE
    return (bounce, columns.REFUSAL) if reply.fault == "sender" else (bounce,)


_DELIVERED: Final = (columns.DELIVERED,)
_REPORTED: Final = (columns.DELIVERED, columns.REPORTING_DELIVERED)
_OPENED: Final = (columns.OPEN,)
_UNSUBSCRIBED: Final = (columns.UNSUBSCRIBE,)
# "not-spam" takes a complaint back (RFC 6430) and is counted nowhere.
_COMPLAINTS: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    *[("abuse", (columns.COMPLAINT,))] * 16,
    ("fraud", (columns.COMPLAINT,)),
    ("other", (columns.COMPLAINT,)),
    *[("not-spam", ())] * 2,
)
_METHODS: Final = ("one_click", "one_click", "one_click", "link", "link", "mailto", "api")
