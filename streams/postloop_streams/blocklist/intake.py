"""Taking in records of the input topics and commands: read, routed, and acknowledged when the signals are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.metrics import BlocklistMetrics
from postloop.contracts.blocklist import BlocklistCommandV1, BlocklistReplyV1, read_command
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.unreadable import stage_of
from postloop.domain.blocklist import GLOBAL, HOLD_COMMANDS, Signal
from postloop.domain.event_types import (
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_EVENT_TYPES,
    BLOCKLIST_REPLY_TOPIC,
    EventType,
)
from postloop_streams.blocklist.outcomes import OutcomeCounts
from postloop_streams.blocklist.publisher import Publisher
from postloop_streams.blocklist.pulses import Pulses
from postloop_streams.blocklist.refusals import command_id_of, refusal
from postloop_streams.blocklist.routing import Router, counts_of, is_scope, records_of
from postloop_streams.blocklist.work import Outgoing
from postloop_streams.dead_letters import PublishDeadLetters, letter_of
from postloop_streams.joining import Joined
from postloop_streams.patience import AbandonedError

log = structlog.stdlib.get_logger("postloop.blocklist")
# Records read at once: reading keeps the loop busy, and heartbeats must go out meanwhile.
_CHUNK: Final = 1_000
# What a worker fetches from several partitions comes together, and reading has a fixed price of 1.5 ms a call.
_GATHER_S: Final = 0.005


class Record(Protocol):
    """A consumed Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Intake:
    """Routes what comes in to the owners of the addresses.

    Args:
        owns_domain: Whether an account has sent mail from a sender domain; blocks, and raises when it cannot be known.
        dead_letters: Publishes dead letters; returns when the broker acknowledged them.
        partitions: Of the topic of signals; set before the first record.
        is_guarded: The incident guard is on: outcomes are counted for it.
    """

    def __init__(
        self,
        router: Router,
        *,
        publisher: Publisher,
        owns_domain: Callable[[str, str], bool],
        dead_letters: PublishDeadLetters,
        signal_topic: str,
        metrics: BlocklistMetrics,
        is_guarded: bool = True,
    ) -> None:
        self._router = router
        self._publisher = publisher
        self._owns_domain = owns_domain
        self._dead_letters = dead_letters
        self._signal_topic = signal_topic
        self._metrics = metrics
        self._is_guarded = is_guarded
        self._pulses = Pulses()
        self._behind: dict[int, int] = {}
        self.partitions = 0
        self._joined = {
            kind: Joined[Record, bool](partial(self._events, kind), limit=_CHUNK, gather_s=_GATHER_S)
            for kind in BLOCKLIST_EVENT_TYPES
        }

    async def events(
        self, event_type: EventType, records: Sequence[Record], *, behind_count: int = 0
    ) -> bool:
        """Route records of an input topic, with others that come at once; True once the broker has the signals.

        Args:
            behind_count: How many more the partition held when these were fetched.
        """
        if event_type == "delivery" and records:
            self._behind[records[-1].partition] = behind_count
        return (await self._joined[event_type](records)).result

    async def _events(self, event_type: EventType, records: Sequence[Record]) -> bool:
        for first in range(0, len(records), _CHUNK):
            part = records[first : first + _CHUNK]
            routed = self._router.read(event_type, [record.value for record in part], now=utc_now())
            self._metrics.blocklist_signals_total.labels(topic=f"email.{event_type}").inc(len(routed.signals))
            if not await self._route(routed.signals):
                return False
            if self._is_guarded:
                self._count(event_type, routed.outcomes, part)
            await asyncio.sleep(0)
        return True

    def assign(self, delivery_partitions: Collection[int]) -> None:
        """Count for the incident guard from these partitions of the deliveries on."""
        self._pulses.assign(delivery_partitions, now_s=time.monotonic())

    async def tell_counts(self) -> None:
        """Tell those who decide about holds what was counted since the last call."""
        counted = self._pulses.take(now_s=time.monotonic())
        if counted:
            with contextlib.suppress(AbandonedError):
                await self._send(list(counts_of(counted, partitions=self.partitions)))

    def _count(self, event_type: EventType, outcomes: OutcomeCounts, records: Sequence[Record]) -> None:
        if event_type == "bounce":
            self._pulses.bounces(outcomes, at_ms=max(record.timestamp for record in records))
        elif event_type == "delivery":
            self._pulses.deliveries(outcomes)
            for number, last in {record.partition: record for record in records}.items():
                self._pulses.read_to(
                    number,
                    at_ms=last.timestamp,
                    behind_count=self._behind.get(number, 0),
                    now_s=time.monotonic(),
                )

    async def commands(self, records: Sequence[Record]) -> bool:
        """Route commands. What cannot be understood is answered at once; without an id it becomes a dead letter."""
        signals: list[Signal] = []
        answers: list[BlocklistReplyV1] = []
        letters: list[DeadLetterV1] = []
        for record in records:
            value = record.value
            command = read_command(value)
            if isinstance(command, BlocklistCommandV1):
                signal = await self._order(command)
                if isinstance(signal, BlocklistReplyV1):
                    answers.append(signal)
                else:
                    signals.append(signal)
            elif command_id := command_id_of(value):
                answers.append(refusal(command_id, "invalid_command", command[0].text))
            else:
                log.warning("command_unreadable", reason=command[0].text)
                letters.append(letter_of(record, command, stage=stage_of(command)))
        self._metrics.blocklist_signals_total.labels(topic=BLOCKLIST_COMMAND_TOPIC).inc(len(signals))
        replies = [
            Outgoing(BLOCKLIST_REPLY_TOPIC, answer.command_id, answer.model_dump_json().encode())
            for answer in answers
        ]
        with contextlib.suppress(AbandonedError):
            if letters:
                await self._publisher.patiently(lambda: self._dead_letters(letters))
            await self._publisher.patiently(lambda: self._publisher.send(replies))
            return await self._route(signals)
        return False

    async def _order(self, command: BlocklistCommandV1) -> Signal | BlocklistReplyV1:
        if command.scope != GLOBAL and not is_scope(command.scope):
            return refusal(command.command_id, "invalid_scope", "scope is global or a sender domain")
        owns = False
        if command.actor.kind == "account" and command.scope != GLOBAL:
            try:
                owns = await asyncio.to_thread(self._owns_domain, command.actor.id, command.scope)
            except (UnavailableError, RefusedError) as error:
                log.warning("owner_unknown", reason=str(error))
                text = "whose sender domain this is cannot be found out now: ask again with a new command_id"
                return refusal(command.command_id, "try_again", text)
        is_hold = command.command in HOLD_COMMANDS
        order = self._router.order(command, owns_domain=owns)
        if order is None:
            what = "no mailbox provider of which bounces are held" if is_hold else "no address"
            return refusal(command.command_id, "invalid_recipient", f"recipient is {what}")
        return order

    async def _route(self, signals: Sequence[Signal]) -> bool:
        try:
            await self._send(list(records_of(signals, partitions=self.partitions)))
        except AbandonedError:
            return False
        return True

    async def _send(self, records: Sequence[tuple[int, bytes]]) -> None:
        await self._publisher.patiently(
            lambda: self._publisher.send_to_partitions(self._signal_topic, records)
        )
