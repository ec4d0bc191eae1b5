"""The fetch loop against seeks of others: what was fetched beside a seek is read again, never delivered."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from postloop_streams.transport import BatchTopic, Consumer, ConsumerThread, pause_between_fetches

PARTITION = TP("email.send", 0)


@pytest.mark.parametrize(
    ("positions", "looked_at"),
    [
        pytest.param({}, 0, id="not assigned any more"),
        pytest.param({PARTITION: None}, 0, id="assigned, and not yet sought"),
        pytest.param({PARTITION: 7}, 1, id="in its place"),
    ],
)
async def test_a_partition_is_not_suspected_before_it_has_a_position(
    monkeypatch: pytest.MonkeyPatch, positions: dict[TP, int | None], looked_at: int
) -> None:
    assignment = Assignment({TopicPartition(*tp) for tp in positions})
    for tp, position in positions.items():
        if position is not None:
            assignment.state_value(TopicPartition(*tp)).reset_to(position)
    thread = ConsumerThread.__new__(ConsumerThread)
    subscription = SimpleNamespace(assignment=assignment)
    kafka = SimpleNamespace(_subscription=SimpleNamespace(subscription=subscription))
    seen: list[TP] = []
    monkeypatch.setattr(thread, "_ensure_consumer", lambda: kafka, raising=False)
    monkeypatch.setattr(
        driver.AIOKafkaConsumerThread, "verify_event_path", lambda self, now, tp: seen.append(tp)
    )

    thread.verify_event_path(0.0, PARTITION)
    assert len(seen) == looked_at


class LoopConsumer(Consumer):
    """The consumer's own fetch loop, with the broker and Faust around it replaced."""

    def __init__(self) -> None:
        self.app = SimpleNamespace(
            consumer_generation_id=1,
            should_stop=False,
            topics=SimpleNamespace(_tp_index={PARTITION: {BatchTopic.__new__(BatchTopic)}}),
            monitor=SimpleNamespace(track_tp_end_offset=lambda *_: None),
        )
        self.flow_active = True
        self.suspend_flow = asyncio.Event()
        self._commit_every = None
        self._buffered_partitions = set()
        self._read_offset = defaultdict(lambda: None)
        self._marks = defaultdict(deque)
        self._acked_to, self._confirmed = {}, {}
        self._overtaken = False
        self._seeks_begun = self._seeks_ended = 0
        self._thread = SimpleNamespace(is_behind=None)
        self.position = 0
        self.end = 3
        self.delivered: list[int] = []
        self.during_fetch: Any = None

    should_stop = False

    def highwater(self, tp: TP) -> int:
        return self.end

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.during_fetch is not None:
            await self.during_fetch()
        records = [
            SimpleNamespace(offset=o, topic=PARTITION.topic, partition=0, timestamp=0, timestamp_type=0)
            for o in range(self.position, 3)
        ]
        self.position = 3
        return ({TopicPartition(*PARTITION): records} if records else {}), None

    async def callback(self, message: Any) -> None:
        self.delivered += [record.offset for record in message.value.records]

    async def _seek_back(self) -> None:
        await self.perform_seek()
        self._overtaken = False


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> LoopConsumer:
    async def seek(self: LoopConsumer) -> None:
        self.position = 0
        await asyncio.sleep(0.01)

    monkeypatch.setattr(driver.Consumer, "perform_seek", seek)
    return LoopConsumer()


async def drained(consumer: LoopConsumer) -> list[int]:
    for _ in range(4):
        await consumer._drain_once()
    return consumer.delivered


async def test_records_are_delivered_once_when_nobody_seeks(consumer: LoopConsumer) -> None:
    assert await drained(consumer) == [0, 1, 2]


async def test_records_fetched_while_a_seek_is_under_way_are_read_again(consumer: LoopConsumer) -> None:
    seeks: list[asyncio.Task[None]] = []

    async def seek_of_another() -> None:
        consumer.during_fetch = None
        seeks.append(asyncio.create_task(consumer.perform_seek()))
        await asyncio.sleep(0)  # the position is set; the seek is not over

    consumer.during_fetch = seek_of_another
    assert await drained(consumer) == [0, 1, 2]
    assert len(consumer._marks[PARTITION]) == 1, "its offsets can still be committed"
    assert seeks[0].done()


async def test_records_fetched_before_a_seek_that_has_ended_are_read_again(consumer: LoopConsumer) -> None:
    async def seek_of_another() -> None:
        consumer.during_fetch = None
        await consumer.perform_seek()

    consumer.during_fetch = seek_of_another
    assert await drained(consumer) == [0, 1, 2]
    assert len(consumer._marks[PARTITION]) == 1


async def test_records_of_an_earlier_generation_are_read_again(consumer: LoopConsumer) -> None:
    async def rebalance() -> None:
        consumer.during_fetch = None
        consumer.app.consumer_generation_id = 2

    consumer.during_fetch = rebalance
    assert await drained(consumer) == [0, 1, 2]


async def test_what_is_stored_while_a_commit_is_under_way_is_committed_too(consumer: LoopConsumer) -> None:
    commits: list[dict[TP, int]] = []

    async def commit() -> bool:
        if not commits:  # Faust only waits for the one that is under way
            commits.append({})
            return False
        offsets = consumer._filter_committable_offsets([PARTITION])
        commits.append(offsets)
        consumer._confirmed.update(offsets)
        return True

    await drained(consumer)
    consumer.commit = commit
    consumer._marks[PARTITION][0].is_stored = True
    await consumer.commit_stored()
    assert commits == [{}, {PARTITION: 3}]


async def test_a_stop_forgets_nothing_that_was_stored(consumer: LoopConsumer) -> None:
    await drained(consumer)
    consumer._marks[PARTITION][0].is_stored = True
    consumer.flow_active, consumer.app.should_stop = False, True  # as Faust does before our last commit
    await consumer._drain_once()
    assert consumer._filter_committable_offsets([PARTITION]) == {PARTITION: 3}


async def test_what_is_stored_is_committed_before_seeking_back_forgets_it(consumer: LoopConsumer) -> None:
    committed: list[dict[TP, int]] = []

    async def commit() -> bool:
        committed.append(consumer._filter_committable_offsets(list(consumer._marks)))
        return True

    await drained(consumer)
    consumer._marks[PARTITION][0].is_stored = True
    consumer.commit, consumer.assignment = commit, lambda: set()
    consumer._thread = SimpleNamespace(_ensure_consumer=lambda: None)
    await Consumer._seek_back(consumer)
    assert committed == [{PARTITION: 3}]
    assert not consumer._overtaken


@pytest.mark.parametrize("behind_count", [0, 1])
async def test_fetches_hurry_while_something_is_behind(consumer: LoopConsumer, behind_count: int) -> None:
    consumer.end = 3 + behind_count
    await consumer._drain_once()
    assert consumer._thread.is_behind is (behind_count > 0)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> PausedFetches:
    return PausedFetches(monkeypatch)


class PausedFetches:
    """A fetcher of aiokafka's whose fetches are paused, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.asked: list[tuple[int, float]] = []
        self.while_asleep: Callable[[], None] = lambda: None
        monkeypatch.setattr("postloop_streams.transport.asyncio.sleep", self._sleep)
        monkeypatch.setattr("postloop_streams.transport.time.monotonic", lambda: self.now_s)
        self.thread = ConsumerThread.__new__(ConsumerThread)
        self.thread.app = SimpleNamespace()
        pause_between_fetches(self.thread.app, 50.0)
        self.fetcher = SimpleNamespace(_proc_fetch_request=self._fetch, _records={})
        self.thread._pause_fetches(self.fetcher)

    async def _sleep(self, duration_s: float) -> None:
        assert duration_s > 0
        self.now_s += duration_s
        self.while_asleep()

    async def _fetch(self, assignment: Any, node_id: int, request: Any) -> bool:
        self.asked.append((node_id, self.now_s))
        return True

    async def ask(self, node_id: int = 1) -> bool:
        return bool(await self.fetcher._proc_fetch_request(None, node_id, None))


@pytest.mark.parametrize(
    ("is_behind", "is_buffered", "pause_s"),
    [(False, False, 50.0), (False, True, 50.0), (True, False, 0.02), (True, True, 0.2)],
)
async def test_there_is_a_pause_between_the_fetches_of_a_broker(
    paused: PausedFetches, *, is_behind: bool, is_buffered: bool, pause_s: float
) -> None:
    paused.thread.is_behind = is_behind
    paused.fetcher._records = {PARTITION: "records"} if is_buffered else {}
    assert await paused.ask(1) and await paused.ask(2)
    assert not await paused.ask(1), "made anew: it does not know what was read empty meanwhile"
    assert await paused.ask(1)
    assert [node for node, _ in paused.asked] == [1, 2, 1]
    (_, first_s), _, (_, next_s) = paused.asked
    assert next_s - first_s == pytest.approx(pause_s)


async def test_a_pause_ends_when_what_was_fetched_is_used_up(paused: PausedFetches) -> None:
    paused.thread.is_behind = True
    paused.fetcher._records = {PARTITION: "records"}
    assert await paused.ask()
    began_s = paused.now_s

    def use_up() -> None:
        if paused.now_s > began_s + 0.05:
            paused.fetcher._records = {}

    paused.while_asleep = use_up
    assert not await paused.ask()
    assert paused.now_s - began_s == pytest.approx(0.06)


async def test_a_pause_ends_like_a_fetch_when_it_is_cancelled() -> None:
    async def fetch(assignment: Any, node_id: int, request: Any) -> bool:
        return True

    thread = ConsumerThread.__new__(ConsumerThread)
    thread.app = SimpleNamespace()
    pause_between_fetches(thread.app, 50.0)
    fetcher = SimpleNamespace(_proc_fetch_request=fetch, _records={})
    thread._pause_fetches(fetcher)
    assert await fetcher._proc_fetch_request(None, 1, None)
    pausing = asyncio.create_task(fetcher._proc_fetch_request(None, 1, None))
    await asyncio.sleep(0.01)
    pausing.cancel()
    # What closes the fetcher waits for it and expects no exception.
    assert await pausing is False
