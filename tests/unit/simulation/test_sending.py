import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.simulation.generator import Record
from postloop.simulation.sending import send_all
from postloop.simulation.settle import QUIET_S, Arrived, settle


class Clock:
    """Time that passes only by sleeping and by looking."""

    def __init__(self, look_s: float = 0.0) -> None:
        self.now, self._look_s = 0.0, look_s

    def now_s(self) -> float:
        self.now += self._look_s
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Collector:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None, bytes | None, int | None]] = []

    def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, slot: int | None = None
    ) -> None:
        self.sent.append((topic, value, key, slot))

    def flush(self) -> int:
        return len(self.sent)


@given(rate=st.floats(1, 1e6), sizes=st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_a_rate_is_never_passed(rate: float, sizes: list[int]) -> None:
    clock, producer, done = Clock(), Collector(), []
    records = [Record("send", b"k", None, b"v", size) for size in sizes]
    send_all(
        records,
        producer,
        topic_prefix="",
        rate=rate,
        now_s=clock.now_s,
        sleep=clock.sleep,
        on_progress=lambda n: done.append((n, clock.now)),
    )
    assert clock.now >= sum(sizes) / rate * (1 - 1e-9)
    # Before each record no more was sent than the time allowed, but for the record itself.
    assert all((n - 30) <= at_s * rate + 1e-6 for n, at_s in done)


def test_records_go_to_the_prefixed_topic_with_key_slot_and_bytes_as_they_are() -> None:
    producer, clock = Collector(), Clock()
    records = [Record("bounce", b"k", None, None, 1), Record("open", None, 3, b"[]", 0)]
    sent = send_all(records, producer, topic_prefix="acme.", rate=0, now_s=clock.now_s, sleep=clock.sleep)
    assert producer.sent == [("acme.email.bounce", None, b"k", None), ("acme.email.open", b"[]", None, 3)]
    assert (sent.records, sent.elements, sent.acknowledged, sent.bytes_count) == (2, 1, 2, 2)


class Arrivals:
    """A run of 10 events and 2 dead letters that arrives as told, one step a look."""

    def __init__(self, *steps: Arrived) -> None:
        self._steps = list(steps)
        self._now = self._steps[0]
        self.events, self.dead_letters = 10, 2

    def progress(self) -> tuple[int, int, int]:
        self._now = self._steps.pop(0) if self._steps else self._now
        return self._now.events, self._now.rows, self._now.dead_letters

    def pending_repairs(self) -> int:
        return self._now.pending_repairs


WHOLE = Arrived(10, 10, 2, 0)


def settled(*steps: Arrived, wait_s: float = 60) -> tuple[Arrived, float]:
    clock, arrivals = Clock(), Arrivals(*steps)
    last = settle(
        arrivals,  # type: ignore[arg-type]
        arrivals,  # type: ignore[arg-type]
        wait_s=wait_s,
        now_s=clock.now_s,
        sleep=clock.sleep,
    )
    return last, clock.now


def test_waiting_ends_soon_after_everything_arrived() -> None:
    last, took_s = settled(Arrived(3, 3, 0, 0), Arrived(7, 7, 1, 0), WHOLE)
    assert last == WHOLE
    assert took_s <= 1 + QUIET_S + 1


@pytest.mark.parametrize(
    "stuck",
    [
        pytest.param(Arrived(9, 9, 2, 0), id="an event is missing"),
        pytest.param(Arrived(10, 10, 1, 0), id="a dead letter is missing"),
        pytest.param(Arrived(10, 10, 2, 1), id="an hour waits for a repair"),
    ],
)
def test_waiting_gives_up_when_nothing_changes_for_as_long_as_told(stuck: Arrived) -> None:
    last, took_s = settled(stuck, wait_s=20)
    assert last == stuck
    assert 20 <= took_s < 22


def test_repeats_that_still_arrive_prolong_the_waiting() -> None:
    repeats = [Arrived(10, 10 + n, 2, 0) for n in range(10)]
    last, _ = settled(*repeats)
    assert last.rows == 19
