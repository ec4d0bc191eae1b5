"""Opens by image proxies, judged by deliveries that the recorder read before or after them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.errors import UnavailableError
from postloop.adapters.event_table import event_columns
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import RecorderMetrics
from postloop.contracts.decode import decode_batch
from postloop.domain.event_types import EventType
from postloop.settings import Settings
from postloop_streams.recorder.deliveries import RecentDeliveries
from postloop_streams.recorder.recorder import Outside, Recorder
from postloop_streams.transport import Lease
from tests.support.memory_run_store import MemoryRunStore
from tests.support.records import FakeRecord

NOW = datetime.now(UTC).replace(microsecond=0)
SENT = NOW - timedelta(seconds=60)
DELIVERED = NOW - timedelta(seconds=55)
PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
MAIL_CLIENT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605"
)
HUMAN, MACHINE = ("human", "image_proxy"), ("machine", "image_proxy_at_once")

Value = tuple[EventType, bytes]
_ids = count()


def event(kind: EventType, at: datetime, **changes: Any) -> Value:
    fields = {
        "event_id": f"{kind}-{next(_ids)}",
        "occurred_at": at.isoformat(),
        "account_id": "a1",
        "message_id": "m1",
        "sender_domain": "shop.example",
        "recipient": "ann@gmail.com",
        "sent_at": SENT.isoformat(),
        **({"user_agent": PROXY} if kind == "open" else {}),
        **changes,
    }
    return kind, json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def delivery(at: datetime = DELIVERED, **changes: Any) -> Value:
    return event("delivery", at, **changes)


def opened(after: float = 1.0, **changes: Any) -> Value:
    """An open so many seconds after the usual delivery, which was 5 s after the sending."""
    return event("open", DELIVERED + timedelta(seconds=after), **changes)


@dataclass
class Desk:
    """A recorder that owns a partition of deliveries and one of opens. Each call of `store` is one insert."""

    kept: MemoryRunStore = field(default_factory=MemoryRunStore)
    generation: int = 0
    offsets: dict[EventType, int] = field(default_factory=lambda: {"delivery": 0, "open": 0})

    def __post_init__(self) -> None:
        self.worker = self.new_worker()

    def new_worker(self) -> Recorder:
        async def publish(letters: Sequence[object]) -> None:
            raise AssertionError("every event here is valid")

        lease = Lease(1e9)
        lease.confirm(0)
        self.worker = Recorder(
            Settings(linger=timedelta(seconds=30), clickhouse_url="http://h:1"),
            Outside(
                store=self.kept,
                topic_ids=lambda names: dict.fromkeys(names, "topic-1"),
                generation=lambda: self.generation,
                publish=publish,
                fail=pytest.fail,
            ),
            lease=lease,
            metrics=RecorderMetrics(),
            health=HealthState(),
        )
        return self.worker

    async def assign(self) -> None:
        self.generation += 1
        await self.worker.assign(
            self.generation, {(f"email.{kind}", 0): end for kind, end in self.offsets.items()}
        )

    async def store(self, *values: Value) -> list[tuple[str, str]]:
        """Take in events in this order, store them in one insert, and return how its opens were judged."""
        if not self.generation:
            await self.assign()
        before = set(self.kept.raw)
        for kind, same in groupby(values, key=itemgetter(0)):
            records = [FakeRecord(self.offsets[kind] + n, value) for n, (_, value) in enumerate(same)]
            self.offsets[kind] += len(records)
            await self.worker.take(self.generation, f"email.{kind}", 0, records, lambda: None)
        assert await self.worker.drain(timeout_s=20)
        (run_id,) = self.kept.raw.keys() - before
        return [
            (row["open_kind"], row["open_reason"])
            for row in self.kept.raw[run_id]
            if row["event_type"] == "open"
        ]


@pytest.fixture(params=["objects", "columns"])
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Everything holds for few records, decoded one by one, and for many, decoded by columns."""
    from postloop.adapters.event_columns import reading
    from postloop_streams.recorder import intake, storing

    fewest = 1 if request.param == "columns" else 1_000_000
    monkeypatch.setattr(reading, "FEWEST", fewest)
    monkeypatch.setattr(intake, "FEWEST", fewest)
    monkeypatch.setattr(storing, "_FIRST_PAUSE_S", 0.001)
    return Desk()


async def test_a_proxy_that_fetches_right_after_the_delivery_is_a_machine_however_late_that_was(
    desk: Desk,
) -> None:
    assert await desk.store(delivery(), opened()) == [MACHINE]


async def test_it_is_one_too_when_the_delivery_is_read_after_the_open(desk: Desk) -> None:
    assert await desk.store(opened(), delivery()) == [MACHINE]


async def test_a_delivery_is_known_to_later_inserts_and_generations(desk: Desk) -> None:
    await desk.store(delivery())
    assert await desk.store(opened()) == [MACHINE]
    await desk.assign()
    assert await desk.store(opened()) == [MACHINE]


async def test_what_another_process_or_one_before_the_restart_read_is_not_known(desk: Desk) -> None:
    await desk.store(delivery())
    desk.new_worker()
    await desk.assign()
    assert await desk.store(opened()) == [HUMAN]


async def test_an_open_that_was_stored_before_its_delivery_was_read_stays_as_it_is(desk: Desk) -> None:
    assert await desk.store(opened()) == [HUMAN]
    assert await desk.store(delivery(), opened(30)) == [HUMAN]


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        pytest.param(0.0, MACHINE, id="in-the-same-moment"),
        pytest.param(1.999, MACHINE, id="just-within"),
        pytest.param(2.0, HUMAN, id="just-beyond"),
        pytest.param(-0.001, HUMAN, id="before-the-delivery"),
    ],
)
async def test_at_once_is_less_than_two_seconds_after_the_delivery(
    desk: Desk, after: float, verdict: tuple[str, str]
) -> None:
    assert await desk.store(delivery(), opened(after)) == [verdict]
    assert await desk.store(opened(after), delivery()) == [verdict]


async def test_without_a_time_of_sending_the_delivery_decides_alone(desk: Desk) -> None:
    assert await desk.store(delivery(sent_at=None), opened(sent_at=None)) == [MACHINE]
    assert await desk.store(opened(2.0, sent_at=None)) == [HUMAN]


async def test_soon_after_the_sending_is_at_once_without_any_delivery(desk: Desk) -> None:
    soon = SENT + timedelta(seconds=1.9)
    assert await desk.store(event("open", soon)) == [MACHINE]
    assert await desk.store(delivery(), event("open", soon)) == [MACHINE]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"account_id": "a2"}, id="account"),
        pytest.param({"message_id": "m2"}, id="message"),
        pytest.param({"recipient": "bob@gmail.com"}, id="recipient"),
    ],
)
async def test_the_delivery_of_another_message_says_nothing(desk: Desk, other: dict[str, str]) -> None:
    assert await desk.store(delivery(**other), opened()) == [HUMAN]


@pytest.mark.parametrize(
    ("told", "read"),
    [
        pytest.param("Ann@Gmail.COM", "ann@gmail.com", id="capitals"),
        pytest.param("käthe@bücher.example", "käthe@xn--bcher-kva.example", id="another-script"),
    ],
)
async def test_a_recipient_is_the_same_in_every_spelling(desk: Desk, told: str, read: str) -> None:
    assert await desk.store(delivery(recipient=told), opened(recipient=read)) == [MACHINE]


async def test_a_mail_program_is_a_person_however_soon(desk: Desk) -> None:
    assert await desk.store(delivery(), opened(0.1, user_agent=MAIL_CLIENT)) == [("human", "client")]


async def test_each_delivery_of_a_message_has_its_own_two_seconds_in_whichever_order_they_are_read(
    desk: Desk,
) -> None:
    first, last = delivery(), delivery(DELIVERED + timedelta(seconds=30))
    opens = [opened(after) for after in (1.0, 10.0, 29.999, 30.0, 31.0, 32.0)]
    expected = [MACHINE, HUMAN, HUMAN, MACHINE, MACHINE, HUMAN]
    assert await desk.store(last, *opens, first) == expected
    again = [opened(after) for after in (1.0, 10.0, 29.999, 30.0, 31.0, 32.0)]
    assert await desk.store(first, last, *again) == expected


async def test_a_repeat_of_a_delivery_that_is_stored_already_is_remembered(desk: Desk) -> None:
    told = delivery()
    await desk.store(told)
    desk.new_worker()  # knows the id from the store, but not the moment
    await desk.assign()
    assert await desk.store(opened()) == [HUMAN]
    assert await desk.store(told, opened()) == [MACHINE]


async def test_of_many_opens_only_those_at_once_change_and_no_other_column_does(desk: Desk) -> None:
    afters = [0.5 if number % 3 == 0 else 20.0 for number in range(600)]
    values = [opened(after, message_id=f"m{number}") for number, after in enumerate(afters)]
    told = [delivery(message_id=f"m{number}") for number in range(600)]
    assert await desk.store(*values, *told) == [MACHINE if after == 0.5 else HUMAN for after in afters]
    (rows,) = desk.kept.raw.values()
    by_topic = [
        [row["event_id"] for row in rows if row["event_type"] == kind] for kind in ("open", "delivery")
    ]
    assert by_topic == [[json.loads(v)["event_id"] for _, v in part] for part in (values, told)]
    assert all(row["open_kind"] is None for row in rows if row["event_type"] == "delivery")


async def test_what_is_sent_again_is_the_same_block_whatever_was_read_meanwhile(desk: Desk) -> None:
    sent: list[pa.Table] = []

    class AwayOnce(MemoryRunStore):
        def insert(self, rows: pa.Table, *, run_id: str, **limits: float) -> None:
            sent.append(rows)
            if len(sent) == 1:
                desk.worker._writer._deliveries.remember_events(decoded(delivery()))
                raise UnavailableError("connection refused")
            super().insert(rows, run_id=run_id, **limits)

    desk.kept = AwayOnce()
    desk.new_worker()
    assert await desk.store(opened()) == [HUMAN]
    assert len(sent) == 2 and sent[0].equals(sent[1])
    assert await desk.store(opened()) == [MACHINE]


# -- the memory ------------------------------------------------------------------------------------------------


def decoded(*values: Value) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for kind, value in values:
        batch = decode_batch(kind, [value], now=NOW)
        assert not batch.errors
        events += batch.events
    return events


def by_events(memory: RecentDeliveries, values: Sequence[Value]) -> None:
    memory.remember_events(decoded(*values))


def by_table(memory: RecentDeliveries, values: Sequence[Value]) -> None:
    memory.remember_table(event_columns("delivery", decoded(*values)))


def known(memory: RecentDeliveries, numbers: Sequence[int]) -> list[int]:
    """Return the messages whose delivery is remembered."""
    table = event_columns("open", decoded(*(opened(message_id=f"m{number}") for number in numbers)))
    reasons = memory.judged(table).column("open_reason").to_pylist()
    return [n for n, reason in zip(numbers, reasons, strict=True) if reason == "image_proxy_at_once"]


@pytest.mark.parametrize("remember", [by_events, by_table])
@pytest.mark.parametrize("batch", [1, 3, 10, 17, 40])
def test_exactly_the_newest_are_known_and_there_is_never_more(
    remember: Callable[[RecentDeliveries, Sequence[Value]], None], batch: int
) -> None:
    memory, told = RecentDeliveries(max_count=10), 0
    while told < 60:
        remember(memory, [delivery(message_id=f"m{number}") for number in range(told, told + batch)])
        told += batch
        assert len(memory) == min(told, 10)
        assert known(memory, range(told)) == list(range(max(0, told - 10), told))


def test_nothing_is_known_of_nothing() -> None:
    assert known(RecentDeliveries(), [1, 2]) == []
    memory = RecentDeliveries()
    memory.remember_events([])
    by_table(memory, [delivery(message_id="m1")])
    assert known(memory, []) == [] and known(memory, [0, 1, 2]) == [1]


def test_the_memory_takes_a_few_megabytes_from_the_first_moment_to_the_last() -> None:
    memory = RecentDeliveries()
    assert memory._hashes.nbytes + memory._moments_ms.nbytes == 3_200_000


def test_rows_without_an_open_to_change_are_handed_on_untouched() -> None:
    memory = RecentDeliveries()
    by_events(memory, [delivery()])
    for values in ([delivery()], [opened(5.0)], [opened(user_agent="Mozilla/5.0")]):
        table = event_columns(values[0][0], decoded(*values))
        assert memory.judged(table) is table


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9_000)), max_size=30),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9_000)), min_size=1, max_size=30),
    st.integers(1, 40),
)
def test_an_open_is_at_once_exactly_when_any_known_delivery_of_its_message_was_less_than_two_seconds_before(
    deliveries: list[tuple[int, int]], opens: list[tuple[int, int]], max_count: int
) -> None:
    start_ms = int(SENT.timestamp() * 1000) + 5_000
    memory = RecentDeliveries(max_count=max_count)
    for message, at_ms in deliveries:
        memory._remember(np.array([message]), np.array([start_ms + at_ms]))
    remembered = deliveries[-max_count:]
    found, since_ms = memory._since_delivery(
        np.array([message for message, _ in opens]), np.array([start_ms + at_ms for _, at_ms in opens])
    )
    at_once = {place for place, since in zip(found.tolist(), since_ms.tolist(), strict=True) if since < 2_000}
    assert (since_ms >= 0).all()
    assert at_once == {
        place
        for place, (message, at_ms) in enumerate(opens)
        if any(known == message and 0 <= at_ms - told < 2_000 for known, told in remembered)
    }
