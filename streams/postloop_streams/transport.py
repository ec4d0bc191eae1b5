"""A Faust transport that hands whole fetched runs of a partition to batch-aware agents.

Stock Faust spends about 80 microseconds of machinery on every record. Here a list of records that was fetched for
one partition, all of whose subscribers are BatchTopics, travels as ONE message through conductor, queue, stream and
agent; Faust's reference counts, flow control, generation check and buffer pressure keep their meaning and are paid
once per list. Records for ordinary agents, tables and changelogs go one by one as before, through a cheaper loop.

Acknowledgement is by range: a batch is acked explicitly, after its effect is stored, and the committed offset is the
end of the longest acked prefix of the delivered batches. A commit that failed is tried again with the next one.

Scheme `postloop://` (entry point group `faust.transports`). What is overridden here is private to Faust, whose
version is therefore pinned; tests/contract/test_faust_internals.py fails loudly when an upgrade changes it.
"""

from __future__ import annotations

import asyncio
import math
import time
import types
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.structs import ConsumerRecord
from faust.topics import Topic
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage, EventT
from faust.types.tuples import ack_lock
from mode.utils.futures import notify

SCHEME: Final = "postloop"
# A fetch costs broker and worker the same whatever it brings, so while nothing is behind there is a pause between them.
# Roles that collect by themselves say how long in `pause_between_fetches`.
QUIET_PAUSE_S: Final = 0.2
# While something is behind, a fetch of the other partitions ends soon, and empty. How long the pause is while nothing
# that was fetched is left, and how long at most while something is: the next answer is wanted before that is used up.
_BEHIND_PAUSE_S: Final = 0.02
_BUFFERED_PAUSE_S: Final = 0.2
# The pause is ours and not the brokers': a fetch that waits for drained partitions holds up the next one of the others.
# The embedded broker holds every answer back for this time, whatever it found, and looks into partitions for no longer.
_FETCH_WAIT_MS: Final = 50
# A worker that catches up holds one answer of each broker; aiokafka would allow 50 MB.
FETCH_MAX_BYTES: Final = 8 << 20
_SEEK_PAUSE_S: Final = 0.2
_THREAD_STARTS_S: Final = 0.01
_COMMIT_ATTEMPTS: Final = 5
# Records given to ordinary agents between two turns of the event loop.
_RECORDS_PER_TURN: Final = 100


def pause_between_fetches(app: AppT[Any], pause_s: float) -> None:
    """Have so long a pause between fetches while nothing is behind. To be called before the app starts."""
    app.quiet_pause_s = pause_s


class Epoch(NamedTuple):
    """A stretch of time in which neither the assignment nor the positions of the partitions were set anew."""

    generation_id: int
    seek_number: int


class Mark:
    """Whether the effect of one delivered batch is stored, so that the offsets up to `end` may be committed.

    It is set by `RecordBatch.ack` alone. Faust acks messages by itself (a stream that skips an event of an earlier
    generation acks it), and such an ack must not move an offset.
    """

    __slots__ = ("end", "is_stored")

    def __init__(self, end: int) -> None:
        self.end = end
        self.is_stored = False


class RecordBatch:
    """Consecutive records of one partition, fetched in one generation of the consumer group.

    `behind_count` is how many more records the partition held when these were fetched, as far as the broker said.
    """

    __slots__ = ("behind_count", "generation_id", "mark", "records", "tp")

    def __init__(
        self,
        tp: TP,
        records: Sequence[ConsumerRecord],
        generation_id: int,
        mark: Mark,
        *,
        behind_count: int = 0,
    ) -> None:
        self.tp = tp
        self.records = records
        self.generation_id = generation_id
        self.mark = mark
        self.behind_count = behind_count

    def __len__(self) -> int:
        return len(self.records)


def ack(event: EventT) -> None:
    """Say that the effect of an event's batch is stored. Without effect once its partition was revoked."""
    batch: RecordBatch = event.value
    batch.mark.is_stored = True
    event.ack()


class BatchMessage(ConsumerMessage):  # type: ignore[misc]
    """The message that carries a RecordBatch; its offset is the batch's last."""


class BatchTopic(Topic):  # type: ignore[misc]
    """A topic (or several) whose streams yield RecordBatch values, on this transport and on Faust's own."""

    def _compile_decode(self) -> None:
        async def decode(message: ConsumerMessage, *, propagate: bool = False) -> Any:
            value = message.value
            if not isinstance(message, BatchMessage):
                mark = Mark(message.offset + 1)
                value = RecordBatch(message.tp, [_record_of(message)], message.generation_id, mark)
            return self.app.create_event(None, value, None, message)

        self.decode = decode


def _record_of(message: ConsumerMessage) -> ConsumerRecord:
    """Return the record of a message that came by Faust's own transport (which turned milliseconds into seconds)."""
    return ConsumerRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=round((message.timestamp or 0) * 1000),
        timestamp_type=message.timestamp_type,
        key=message.key,
        value=message.value,
        checksum=None,
        serialized_key_size=message.serialized_key_size,
        serialized_value_size=message.serialized_value_size,
        headers=tuple(
            message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
        ),
    )


@types.coroutine
def _resume(coroutine: Coroutine[Any, Any, None], pending: Any) -> Generator[Any, Any, None]:
    """Await a coroutine that already ran up to `pending`."""
    while True:
        try:
            value = yield pending
        except BaseException as error:
            step: Callable[[Any], Any] = coroutine.throw
            argument: Any = error
        else:
            step, argument = coroutine.send, value
        try:
            pending = step(argument)
        except StopIteration:
            return


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread with pauses and answers of a size of our own, which notes when it joined its group.

    It ends when it is told to at any moment. Faust's own hangs when that is between the start of the thread and its
    first step (the thread is left running), or while partitions are assigned (the handler asks the thread something
    whose queue is closed, the thread waits for the handler: a minute), and it closes its connections from another
    event loop when partitions come after the stop, without leaving the group.

    Attributes:
        joined_at_s: When the request was sent that the broker answered with the present assignment; monotonic
            seconds, None before the first one.
        is_behind: Whether partitions held more than was fetched last; set by the consumer.
    """

    joined_at_s: float | None = None
    is_behind: bool = False

    async def on_start(self) -> None:
        """Start the consumer and watch how it joins."""
        await super().on_start()
        coordinator = self._consumer._coordinator
        send: Callable[[Any], Awaitable[Any]] = coordinator._send_req

        async def noting(request: Any) -> Any:
            sent_at_s = time.monotonic()
            response = await send(request)
            if isinstance(request, SyncGroupRequest) and response.error_code == 0:
                self.joined_at_s = sent_at_s
            return response

        coordinator._send_req = noting
        self._pause_fetches(self._consumer._fetcher)

    def _pause_fetches(self, fetcher: Any) -> None:
        fetch: Callable[..., Awaitable[bool]] = fetcher._proc_fetch_request
        sent_at_s: dict[int, float] = {}

        async def pausing(assignment: Any, node_id: int, request: Any) -> bool:
            asked_at_s = sent_at_s.get(node_id, -math.inf)
            if self._pause_left_s(asked_at_s, fetcher) > 0:
                try:
                    while (left_s := self._pause_left_s(asked_at_s, fetcher)) > 0:
                        await asyncio.sleep(min(left_s, _BEHIND_PAUSE_S) if self.is_behind else left_s)
                except asyncio.CancelledError:
                    pass  # a rebalance, or the end: whoever cancels a fetch waits for it and expects no exception
                return False  # made anew: partitions that were read empty meanwhile are not in this request
            sent_at_s[node_id] = time.monotonic()
            return await fetch(assignment, node_id, request)

        fetcher._proc_fetch_request = pausing

    def _pause_left_s(self, asked_at_s: float, fetcher: Any) -> float:
        """Return the seconds, none or less when they are over, until a broker is asked that was asked at a moment."""
        if self.is_behind:
            pause_s = _BUFFERED_PAUSE_S if fetcher._records else _BEHIND_PAUSE_S
        else:
            pause_s = getattr(self.app, "quiet_pause_s", QUIET_PAUSE_S)
        return asked_at_s + pause_s - time.monotonic()

    async def stop(self) -> None:
        """Stop the thread; one that was just started runs first."""
        while self._thread_started.is_set() and not (self._started.is_set() or self.should_stop):
            await asyncio.sleep(_THREAD_STARTS_S)
        await super().stop()

    async def on_thread_stop(self) -> None:
        """Leave the group while calls are still answered: a rebalance under way may need them to end."""
        if self._consumer is not None:
            await self._consumer.stop()
        await super().on_thread_stop()

    def close(self) -> None:
        """Do nothing: the thread closes its consumer itself."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Look whether a partition stands still, once it has a position.

        Between the end of a rebalance and the end of its seek it has none. Faust's detector, which looks every 2.5 s,
        then fails an assertion of aiokafka, and that ends the worker (seen twice in one run of the suites).
        """
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        state = assignment and assignment.state_value(driver.ensure_aiokafka_TP(tp))
        if state and state.has_valid_position:
            super().verify_event_path(now, tp)

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        consumer._fetch_max_bytes = FETCH_MAX_BYTES
        return consumer


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with batch delivery and range acks."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Delivered batches that are not known to be committed, in the order of their offsets.
        self._marks: defaultdict[TP, deque[Mark]] = defaultdict(deque)
        # End of the longest acked prefix; kept until the broker confirmed it.
        self._acked_to: dict[TP, int] = {}
        self._confirmed: dict[TP, int] = {}
        self._n_acked: int = 0
        # Records were fetched and not delivered: nothing may be fetched before the positions are set back.
        self._overtaken = False
        self._seeks_begun = 0
        self._seeks_ended = 0
        super().__init__(*args, **kwargs)

    # -- acks and commits ----------------------------------------------------------------------------------

    def ack(self, message: ConsumerMessage) -> bool:
        """Mark a message as done. What a batch holds counts as stored by its mark only."""
        if not isinstance(message, BatchMessage):
            return bool(super().ack(message))
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            self._unacked_messages.discard(message)
            self._n_acked += len(message.value)
            notify(self._waiting_for_ack)
            return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        mine = [tp for tp in self._marks if topics is None or tp in topics or tp.topic in topics]
        others = (tp for tp in super()._filter_tps_with_pending_acks(topics) if tp not in self._marks)
        return chain(mine, others)

    def _new_offset(self, tp: TP) -> int | None:
        marks = self._marks.get(tp)
        if marks is None:
            offset: int | None = super()._new_offset(tp)
            return offset
        with ack_lock:
            while marks and marks[0].is_stored:
                self._acked_to[tp] = marks.popleft().end
        return self._acked_to.get(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        if tp in self._marks:
            return self._confirmed.get(tp) != offset
        return bool(super()._should_commit(tp, offset))

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        did_commit = await super()._commit_offsets(offsets, start_new_transaction=start_new_transaction)
        if did_commit:
            self._confirmed.update((tp, offset) for tp, offset in offsets.items() if tp in self._marks)
        return bool(did_commit)

    async def commit_stored(self) -> None:
        """Commit everything that is stored.

        Faust's `commit` only waits when another commit is under way, and that one does not know what was stored
        since it began.
        """
        for _ in range(_COMMIT_ATTEMPTS):
            await self.commit()
            if not self._filter_committable_offsets(list(self._marks)):
                return
            await asyncio.sleep(_SEEK_PAUSE_S)

    def _forget(self, tps: Sequence[TP]) -> None:
        for tp in tps:
            self._marks.pop(tp, None)
            self._acked_to.pop(tp, None)
            self._confirmed.pop(tp, None)

    # -- rebalance -----------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let Faust finish and commit what was started (through the marks), then forget the partitions."""
        await super().on_partitions_revoked(revoked)
        self._forget(list(revoked))

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start anew: positions are read again from the committed offsets."""
        self._forget(list(self._marks))
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Seek to the committed offsets: everything delivered and not committed comes again."""
        self._seeks_begun += 1
        try:
            await super().perform_seek()
        finally:
            self._seeks_ended += 1
            self._forget(list(self._marks))

    # -- fetching ------------------------------------------------------------------------------------------

    def _takes_batches(self, tp: TP) -> bool:
        channels = self.app.topics._tp_index.get(tp)
        return bool(channels) and all(isinstance(channel, BatchTopic) for channel in channels)

    async def _deliver(self, message: ConsumerMessage) -> None:
        """Give a message to the conductor; pay for `wait_first` only when the conductor really waits."""
        coroutine = self.callback(message)
        if not self.suspend_flow.is_set():
            try:
                pending = coroutine.send(None)
            except StopIteration:
                return
            coroutine = _resume(coroutine, pending)
        await self.wait_first(asyncio.ensure_future(coroutine), self.suspend_flow.wait())

    async def _deliver_batch(
        self, tp: TP, records: Sequence[ConsumerRecord], generation_id: int, behind_count: int
    ) -> None:
        read = self._read_offset[tp]
        if read is not None and records[0].offset < read:  # delivered before a seek
            records = [record for record in records if record.offset >= read]
            if not records:
                return
        last = records[-1]
        mark = Mark(last.offset + 1)
        batch = RecordBatch(tp, records, generation_id, mark, behind_count=behind_count)
        message = BatchMessage(
            last.topic, last.partition, last.offset, (last.timestamp or 0) / 1000.0, last.timestamp_type,
            None, None, batch, None, 0, 0, tp, generation_id=generation_id,
        )  # fmt: skip
        self._marks[tp].append(mark)
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp) or 0)
        await self._deliver(message)
        self._read_offset[tp] = last.offset

    async def _commit_when_due(self) -> None:
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    async def _deliver_singles(self, fetched: Mapping[TP, Sequence[ConsumerRecord]], epoch: Epoch) -> None:
        highwater = {tp: self.highwater(tp) or 0 for tp in fetched}
        for number, (tp, record) in enumerate(self.scheduler.iterate(fetched), start=1):
            if self._is_stale(epoch):
                return
            if number % _RECORDS_PER_TURN == 0:
                await asyncio.sleep(0)
            self.app.monitor.track_tp_end_offset(tp, highwater[tp])
            message = self._to_message(tp, record)
            offset, read = message.offset, self._read_offset[tp]
            if read is not None and offset < read:
                continue
            if read and offset - read > 1 and self.app.topics.acks_enabled_for(message.topic):
                await self._add_gap(tp, read + 1, offset)
            await self._commit_when_due()
            await self._deliver(message)
            self._read_offset[tp] = offset

    def _epoch(self) -> Epoch:
        return Epoch(self.app.consumer_generation_id, self._seeks_begun)

    def _is_stale(self, epoch: Epoch) -> bool:
        """Whether what was fetched in this epoch may stand beside the positions that are in force now."""
        is_seeking = self._seeks_begun != self._seeks_ended
        return not self.flow_active or is_seeking or epoch != self._epoch()

    async def _drain_once(self) -> None:
        if self._overtaken:
            await self._seek_back()
            return
        epoch = self._epoch()
        fetched, active = await self._wait_next_records(1.0)
        await asyncio.sleep(0)
        if fetched is None or self.should_stop:
            return
        await self._deliver_fetched(fetched, active, epoch)
        if self._is_stale(epoch) and not self.app.should_stop:
            # The generation or the positions changed while we fetched or delivered. Whether these records were
            # fetched before or after, nobody can tell: all that was not delivered is read again from the committed
            # offsets. To drop it would leave a hole that later commits pass over. (Table recovery seeks while the
            # fetch loop runs: a batch that was fetched behind the seek and delivered before its end was lost.)
            self._overtaken = True
            await self._seek_back()

    async def _deliver_fetched(
        self, fetched: Mapping[Any, Sequence[ConsumerRecord]], active: set[TP] | None, epoch: Epoch
    ) -> None:
        singles: dict[TP, Sequence[ConsumerRecord]] = {}
        behind_count = 0
        for raw_tp, records in fetched.items():
            if self._is_stale(epoch):
                return
            tp = ensure_TP(raw_tp)
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            behind_here = self._behind_count(tp, records)
            behind_count += behind_here
            if self._takes_batches(tp):
                await self._commit_when_due()
                await self._deliver_batch(tp, records, epoch.generation_id, behind_here)
                await asyncio.sleep(0)
            else:
                singles[tp] = records
        self._thread.is_behind = behind_count > 0
        if singles:
            await self._deliver_singles(singles, epoch)

    def _behind_count(self, tp: TP, records: Sequence[ConsumerRecord]) -> int:
        """Return how many records the partition held behind these when they were fetched, as far as the broker said."""
        highwater: int = self.highwater(tp) or 0
        last: int = records[-1].offset
        return max(0, highwater - last - 1)

    async def _seek_back(self) -> None:
        """Read everything that is not committed again, also of partitions of which nothing was ever committed.

        `perform_seek` leaves the position of those where it is, behind the records that were just dropped.
        """
        try:
            # Seeking forgets what was stored and not committed yet; its owner would have to heal it.
            await self.commit()
            await self.perform_seek()
            tps = list(self.assignment())
            committed = await committed_offsets(self, tps)
            never = [driver.ensure_aiokafka_TP(tp) for tp in tps if not committed.get(tp)]
            if never:
                await self._thread.seek_to_beginning(*never)
            self._overtaken = False
        except (
            Exception
        ) as error:  # partitions that move on, a broker that is away: tried again before fetching
            self.log.warning("seeking back while partitions move: %r", error)
            await asyncio.sleep(_SEEK_PAUSE_S)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._drain_once()
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise
        except Exception as error:
            self.log.exception("Fetching raised: %r", error)
            raise


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport with the batch consumer."""

    Consumer = Consumer


async def commit_stored(consumer: driver.Consumer) -> None:
    """Commit everything that is stored, on this transport or Faust's own."""
    if isinstance(consumer, Consumer):
        await consumer.commit_stored()
    else:
        await consumer.commit()


async def committed_offsets(consumer: driver.Consumer, tps: Sequence[TP]) -> dict[TP, int]:
    """Return the committed offset of each partition that has one, on this transport or Faust's own."""
    if not tps:
        return {}
    thread = consumer._thread
    # In one request: aiokafka's public method asks for one partition, and a worker may own hundreds.
    fetch = thread._ensure_consumer()._coordinator.fetch_committed_offsets
    by_raw_tp = {driver.ensure_aiokafka_TP(tp): tp for tp in tps}
    found = await thread.call_thread(fetch, list(by_raw_tp))
    return {by_raw_tp[raw_tp]: committed.offset for raw_tp, committed in found.items()}


class Lease:
    """Until when this worker surely owns its partitions: the last confirmed heartbeat plus the session timeout.

    A paused process (a stopped container, a swapped machine) finds its lease over before it can write anything.
    """

    def __init__(self, session_timeout_s: float, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._session_timeout_s = session_timeout_s
        self._now_s = now_s
        self._confirmed_at_s = float("-inf")

    def confirm(self, sent_at_s: float) -> None:
        """Take note that the broker answered a heartbeat sent at `sent_at_s`."""
        self._confirmed_at_s = max(self._confirmed_at_s, sent_at_s)

    def left_s(self) -> float:
        """Return the seconds for which no other worker can own the partitions; negative when they are over."""
        return self._confirmed_at_s + self._session_timeout_s - self._now_s()

    def watch(self, consumer: driver.Consumer) -> None:
        """Confirm the lease at every answered heartbeat of the consumer from now on, and now by its joining.

        Not by the moment of this call: a process that was stopped between the answer to its joining and this has
        lost its partitions meanwhile. On Faust's own transport the first heartbeat must be waited for.
        """
        joined_at_s: float | None = getattr(consumer._thread, "joined_at_s", None)
        if joined_at_s is not None:
            self.confirm(joined_at_s)
        coordinator = consumer._thread._ensure_consumer()._coordinator
        heartbeat: Callable[[], Awaitable[bool]] = coordinator._do_heartbeat
        if getattr(heartbeat, "confirms_lease", False):
            return

        async def confirming() -> bool:
            sent_at_s = self._now_s()
            success = await heartbeat()
            if success:
                self.confirm(sent_at_s)
            return success

        confirming.confirms_lease = True  # type: ignore[attr-defined]
        coordinator._do_heartbeat = confirming
