"""From signals to work: what is to be published and what is to be kept, without doing either."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from postloop.adapters.partition_store import Item
from postloop.contracts.blocklist import (
    BlocklistReplyV1,
    RecipientForm,
    expire_bytes,
    insert_bytes,
    state_key,
)
from postloop.contracts.blocklist_state import (
    Answer,
    answer_from_bytes,
    answer_key,
    answer_to_bytes,
    entry_from_bytes,
    entry_key,
    entry_to_bytes,
)
from postloop.domain.blocklist import (
    GLOBAL,
    HOLD_COMMANDS,
    Answered,
    Blocked,
    Change,
    Delivered,
    Delivery,
    Entry,
    Ordered,
    Policy,
    Released,
    Reported,
    Signal,
    TimePassed,
    decide,
    due_ms,
)
from postloop.domain.event_types import (
    BLOCKLIST_EXPIRE_TOPIC,
    BLOCKLIST_INSERT_TOPIC,
    BLOCKLIST_REPLY_TOPIC,
    BLOCKLIST_STATE_TOPIC,
)
from postloop.domain.incident import Counted
from postloop_streams.blocklist.deliveries import RecentDeliveries
from postloop_streams.blocklist.holding import Holding
from postloop_streams.blocklist.watching import ProviderWatch
from postloop_streams.blocklist.work import ItemReader, Outgoing, Work

log = structlog.stdlib.get_logger("postloop.blocklist")

ANSWER_MEMORY_MS: Final = 14 * 86_400_000
"""How long a repeated command gets its first answer."""


class Folder:
    """Folds signals into the entries of one partition."""

    def __init__(
        self,
        store: ItemReader,
        *,
        policy: Policy,
        form: RecipientForm,
        holding: Holding,
        watch: ProviderWatch,
    ) -> None:
        self._store = store
        self._policy = policy
        self._form = form
        self._holding = holding
        self._watch = watch
        self._recent = RecentDeliveries()

    def fold(
        self,
        all_signals: Sequence[Signal | Counted],
        *,
        now_ms: int,
        stored: Mapping[str, bytes] | None = None,
    ) -> Work:
        """Return the work that the signals make, in their order.

        Args:
            stored: What the store holds of their keys, where that is known already.
        """
        work = Work()
        signals = self._apart([s for s in all_signals if not isinstance(s, Counted)], work)
        self._count([s for s in all_signals if isinstance(s, Counted)], work, now_ms=now_ms)
        if stored is None:
            stored = self._store.get(sorted(set(_keys(signals))))
        entries: dict[str, Entry | None] = {}
        answers: dict[str, Answer] = {}
        for signal in signals:
            key = entry_key(signal.scope, signal.recipient)
            if key not in entries:
                entries[key] = entry_from_bytes(stored[key]) if key in stored else None
            try:
                if isinstance(signal, Ordered):
                    self._order(signal, entries, answers, stored, work, now_ms=now_ms)
                elif isinstance(signal, Delivered) and entries[key] is None:
                    # Nothing is known of nearly every address that mail reaches.
                    delivery = Delivery(at_ms=signal.at_ms, event_id=signal.event_id)
                    self._recent.add(signal.recipient, delivery)
                else:
                    self._signal(signal, entries, work, now_ms=now_ms)
            except Exception as error:  # a fault of ours: the signal is kept apart, the others go on
                log.exception("signal_failed", scope=signal.scope, kind=type(signal).__name__)
                work.failures.append((signal, "".join(traceback.format_exception(error))))
        return work

    def _apart(self, signals: Sequence[Signal], work: Work) -> list[Signal]:
        """Return the signals without the bounces that are held, or were, by the incident guard."""
        passed: list[Signal] = []
        held: list[Reported] = []
        for signal in signals:
            fate = self._holding.fate(signal) if isinstance(signal, Reported) else "apply"
            if fate == "apply":
                passed.append(signal)
            elif fate == "hold" and isinstance(signal, Reported):
                held.append(signal)
            else:
                work.discarded += 1
        if held:
            self._holding.hold(held, work)
        return passed

    def _count(self, counted: Sequence[Counted], work: Work, *, now_ms: int) -> None:
        try:
            self._watch.count(counted, work, now_ms=now_ms)
        except Exception:  # a fault of ours: the guard knows less, the list goes on
            log.exception("guard_failed")

    def _signal(
        self, signal: Signal, entries: dict[str, Entry | None], work: Work, *, now_ms: int
    ) -> tuple[Change, ...]:
        key = entry_key(signal.scope, signal.recipient)
        before = entries[key]
        start = before
        if start is None and signal.scope == GLOBAL:
            start = Entry(
                scope=GLOBAL, recipient=signal.recipient, deliveries=self._recent.of(signal.recipient)
            )
        after, changes = decide(start, signal, self._policy, now_ms)
        for change in changes:
            self._publish(change, work)
        if after != start:
            entries[key] = None if after.is_trivial else after
            work.items[key] = (
                Item(key, None)
                if after.is_trivial
                else Item(key, entry_to_bytes(after), due_ms(after, self._policy))
            )
        elif isinstance(signal, TimePassed):
            # Nothing to do yet, or nothing left: it must not be due again at once.
            work.items[key] = _later(key, after, self._policy, now_ms=now_ms)
        return changes

    def _order(
        self,
        order: Ordered,
        entries: dict[str, Entry | None],
        answers: dict[str, Answer],
        stored: Mapping[str, bytes],
        work: Work,
        *,
        now_ms: int,
    ) -> None:
        key = answer_key(order.command_id)
        if key in stored and key not in answers:
            answers[key] = answer_from_bytes(stored[key])
        if key not in answers:
            changes: tuple[Change, ...] = (
                (self._watch.decide(order, work, now_ms=now_ms),)
                if order.command in HOLD_COMMANDS
                else self._signal(order, entries, work, now_ms=now_ms)
            )
            answers[key] = _answer(order, changes, now_ms=now_ms)
            work.items[key] = Item(key, answer_to_bytes(answers[key]), now_ms + ANSWER_MEMORY_MS)
        answer = answers[key]
        reply = BlocklistReplyV1(
            command_id=order.command_id,
            outcome=answer.outcome,
            code=answer.code,
            text=answer.text,
            event_ids=answer.event_ids,
        )
        work.outgoing.append(
            Outgoing(BLOCKLIST_REPLY_TOPIC, order.command_id, reply.model_dump_json().encode())
        )

    def _publish(self, change: Change, work: Work) -> None:
        match change:
            case Blocked():
                value = insert_bytes(change, form=self._form)
                work.outgoing.append(Outgoing(BLOCKLIST_INSERT_TOPIC, change.recipient, value))
                work.outgoing.append(
                    Outgoing(BLOCKLIST_STATE_TOPIC, state_key(change.scope, change.recipient), value)
                )
                work.inserted += change.told.change == "inserted"
                work.extended += change.told.change == "extended"
            case Released():
                value = expire_bytes(change, form=self._form)
                work.outgoing.append(Outgoing(BLOCKLIST_EXPIRE_TOPIC, change.recipient, value))
                work.outgoing.append(
                    Outgoing(BLOCKLIST_STATE_TOPIC, state_key(change.scope, change.recipient), None)
                )
                work.released += 1
            case Answered():
                pass  # becomes a reply, with the ids of the events


def _later(key: str, entry: Entry, policy: Policy, *, now_ms: int) -> Item:
    if entry.is_trivial:
        return Item(key, None)
    again_ms = due_ms(entry, policy)
    return Item(key, entry_to_bytes(entry), again_ms if again_ms and again_ms > now_ms else None)


def _keys(signals: Iterable[Signal]) -> Iterable[str]:
    for signal in signals:
        yield entry_key(signal.scope, signal.recipient)
        if isinstance(signal, Ordered):
            yield answer_key(signal.command_id)


def state_of(entry: Entry, form: RecipientForm) -> list[Outgoing]:
    """Return the record of `blocklist.state` for an entry that blocks; none for another."""
    if entry.told is None:
        return []
    blocked = Blocked(scope=entry.scope, recipient=entry.recipient, provider=entry.provider, told=entry.told)
    value = insert_bytes(blocked, form=form)
    return [Outgoing(BLOCKLIST_STATE_TOPIC, state_key(entry.scope, entry.recipient), value)]


def _answer(order: Ordered, changes: Sequence[Change], *, now_ms: int) -> Answer:
    answered = next(change for change in changes if isinstance(change, Answered))
    ids = [
        c.told.event_id if isinstance(c, Blocked) else c.event_id
        for c in changes
        if isinstance(c, Blocked | Released)
    ]
    return Answer(
        order=order,
        outcome=answered.outcome,
        code=answered.code,
        text=answered.text,
        event_ids=tuple(ids),
        answered_ms=now_ms,
    )
