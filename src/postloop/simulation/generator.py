"""Puts the lives of messages in order of time, disturbs the order as asked, and yields Kafka records."""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from postloop.domain.event_types import EventType
from postloop.simulation.clock_text import ClockText
from postloop.simulation.drafts import Draft, Message
from postloop.simulation.invalid import InvalidMaker
from postloop.simulation.lanes import Lanes, lane_of
from postloop.simulation.lifecycle import Postman
from postloop.simulation.plan import MAX_LATE_S, Plan
from postloop.simulation.tally import Tally
from postloop.simulation.world import World

_MIN_LATE_MS: Final = 600_000
_MAX_LATE_MS: Final = MAX_LATE_S * 1000
_MAX_DISPLACED_MS: Final = 300_000
_MAX_REPEAT_MS: Final = 120_000
_FIRST_GUESS_EVENTS: Final = 2.4  # events of an average message, until there is an average
_EMPTY_ARRAY_EVERY: Final = 5_000


class Record(NamedTuple):
    """One Kafka record. `slot` chooses the partition where it is not None, else the key does.

    `elements` is the number of events in it, good and bad.
    """

    event_type: EventType
    key: bytes | None
    slot: int | None
    value: bytes | None
    elements: int


class _Pending(NamedTuple):
    """An event that waits for its turn; compared by moment and number only, for the number is unique."""

    due_ms: int
    number: int
    event_type: EventType
    recipient: str
    body: str
    lane: int
    slot: int
    is_repeat: bool


class Simulation:
    """One run. `records` yields every record once; afterwards `tally` holds the truth."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tally = Tally()
        self._rng = random.Random(plan.seed)  # noqa: S311 - a seed must give the same run, nothing is secret
        self._random = self._rng.random
        self.world = World(plan, self._rng)
        self._postman = Postman(self.world, self._rng, machine_opens=plan.machine_opens)
        self._invalid = InvalidMaker(plan, self._rng)
        self._lanes = Lanes(self._rng)
        self._clocks = {s.offset_minutes: ClockText(s.offset_minutes) for s in self.world.streams}
        self._waiting: list[_Pending] = []
        self._numbered = 0
        self._messages = 0
        self._written = 0
        self._bad = 0
        self._id_prefix, self._key_prefix = plan.event_id_prefix, plan.key_prefix

    def records(self) -> Iterator[Record]:
        """Yield all records in the order in which they are written."""
        plan = self.plan
        now_ms = float(plan.start_ms)
        while self.tally.events < plan.events:
            yield from self._due(int(now_ms))
            for message in self._postman.messages(int(now_ms)):
                self._messages += 1
                self._accept(message)
            per_message = self.tally.events / self._messages or _FIRST_GUESS_EVENTS
            # A step aims at the end of the span and never passes it: time left over work left.
            left = max(1, plan.events - self.tally.events)
            now_ms += (plan.end_ms - 1 - now_ms) * min(1.0, per_message / left)
        yield from self._due(None)
        yield from self._all_invalid_due()
        yield from (self._array(kind, lane, body, n) for kind, lane, body, n in self._lanes.rest())

    def _accept(self, message: Message) -> None:
        """Keep what of a message's life lies in the simulated time, up to the number of events asked for."""
        plan = self.plan
        if plan.late and self._random() < plan.late:
            message.shift_ms = int(
                _MIN_LATE_MS * math.exp(self._random() * math.log(_MAX_LATE_MS / _MIN_LATE_MS))
            )
        head = _Head(message, self._clocks[message.stream.offset_minutes])
        lane = lane_of(message.reader, share=plan.array_share)
        first_ms = max(message.not_before_ms, plan.start_ms)
        for draft in message.drafts:
            if self.tally.events >= plan.events:
                return
            if first_ms <= draft.at_ms < plan.end_ms:
                self._schedule(draft, message, head, lane)

    def _schedule(self, draft: Draft, message: Message, head: _Head, lane: int) -> None:
        number, due_ms = self.tally.events, draft.at_ms
        occurred_ms = draft.at_ms - message.shift_ms
        self.tally.count(draft, message, occurred_ms)
        if message.shift_ms:
            self.tally.disturbances["late"] += 1
        if self.plan.out_of_order and self._random() < self.plan.out_of_order:
            due_ms += 1 + int(self._random() * _MAX_DISPLACED_MS)
            self.tally.disturbances["out_of_order"] += 1
        body = (
            f'{{"event_id":"{self._id_prefix}{number:08x}",'
            f'"occurred_at":"{head.clock.text(occurred_ms)}",{head.text(draft.kind)}{draft.tail}}}'
        )
        slot = lane if lane >= 0 else number
        recipient = head.recipient_of(draft.kind)
        self._push(_Pending(due_ms, 0, draft.kind, recipient, body, lane, slot, False))

    def _push(self, event: _Pending) -> None:
        self._numbered += 1
        heapq.heappush(self._waiting, event._replace(number=self._numbered))

    def _due(self, now_ms: int | None) -> Iterator[Record]:
        """Yield what is written up to a moment, or everything that waits."""
        waiting, plan = self._waiting, self.plan
        while waiting and (now_ms is None or waiting[0].due_ms <= now_ms):
            event = heapq.heappop(waiting)
            if not event.is_repeat:
                self._written += 1
                if plan.duplicates and self._random() < plan.duplicates:
                    self._repeat(event)
                yield from self._all_invalid_due()
                if plan.array_share and self._written % _EMPTY_ARRAY_EVERY == 0:
                    self.tally.disturbances["empty_arrays"] += 1
                    yield Record(event.event_type, self._marked("empty"), self._slot(self._written), b"[]", 0)
            yield from self._write(event)

    def _repeat(self, event: _Pending) -> None:
        self.tally.disturbances["duplicates"] += 1
        due_ms = event.due_ms + int(self._random() * _MAX_REPEAT_MS)
        if self.plan.key == "none":  # alone and on the next partition, whatever way the original took
            event = event._replace(lane=-1, slot=event.slot + 1)
        self._push(event._replace(due_ms=due_ms, is_repeat=True))

    def _write(self, event: _Pending) -> Iterator[Record]:
        if event.lane >= 0:
            full = self._lanes.add(event.event_type, event.lane, event.body)
            if full is not None:
                yield self._array(event.event_type, event.lane, *full)
            return
        key = event.recipient.encode() if self.plan.key == "recipient" else None
        yield Record(event.event_type, key, self._slot(event.slot), event.body.encode(), 1)

    def _all_invalid_due(self) -> Iterator[Record]:
        while self._bad < round(self._written * self.plan.invalid):
            self._bad += 1
            # Every other bad event travels among good ones, where arrays are wanted at all.
            has_array = self.plan.array_share > 0
            bad = self._invalid.next(alone=not has_array)
            self.tally.invalid[bad.kind] += 1
            self.tally.dead_letters_by_type[bad.event_type] += 1
            only_in_array = bad.kind in ("array_in_array", "string_element")
            if has_array and bad.fits_in_array and bad.value is not None and (only_in_array or self._bad % 2):
                lane = self._bad % Lanes.COUNT
                full = self._lanes.add(bad.event_type, lane, bad.value.decode())
                if full is not None:
                    yield self._array(bad.event_type, lane, *full)
            else:
                yield Record(
                    bad.event_type, self._marked(f"bad-{self._bad}"), self._slot(self._bad), bad.value, 1
                )

    def _array(self, event_type: EventType, lane: int, body: str, elements: int) -> Record:
        self.tally.disturbances["arrays"] += 1
        return Record(event_type, self._marked(f"lane-{lane}"), self._slot(lane), body.encode(), elements)

    def _marked(self, name: str) -> bytes:
        """Return a key by which a dead letter of this run can be told from others."""
        return f"{self._key_prefix}-{name}".encode()

    def _slot(self, slot: int) -> int | None:
        return slot if self.plan.key == "none" else None


class _Head:
    """The part of an event's text that all events of a message share."""

    __slots__ = ("_capital", "_lower", "_recipient", "clock")

    def __init__(self, message: Message, clock: ClockText) -> None:
        stream, campaign = message.stream, message.stream.campaigns[message.campaign]
        self.clock = clock
        self._recipient = message.recipient
        tail = f',{stream.json_head},"message_id":"{message.message_id}"'
        if stream.tells_sent_at:
            tail += f',"sent_at":"{clock.text(message.sent_ms - message.shift_ms)}"'
        if campaign.campaign_id:
            tail += f',"campaign_id":"{campaign.campaign_id}"'
        if campaign.template_id:
            tail += f',"template_id":"{campaign.template_id}"'
        self._capital = f'"recipient":{_quoted(message.recipient)}{tail}'
        lower = message.recipient.lower()
        is_lower = lower == message.recipient
        self._lower = self._capital if is_lower else f'"recipient":{_quoted(lower)}{tail}'

    def recipient_of(self, kind: EventType) -> str:
        """Return the address as this kind of event writes it: what a reader causes comes in small letters."""
        return self._recipient.lower() if kind in _BY_READER else self._recipient

    def text(self, kind: EventType) -> str:
        """Return the shared fields for this kind of event."""
        return self._lower if kind in _BY_READER else self._capital


_BY_READER: Final = frozenset({"open", "unsubscribe"})


def _quoted(text: str) -> str:
    """Return a JSON string; nearly every address needs no escape, and asking the library costs 2 µs."""
    if text.isascii() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return json.dumps(text, ensure_ascii=False)
