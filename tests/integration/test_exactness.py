"""Whatever is killed, frozen or cut off: nothing is missing and nothing is counted twice."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.cutting_proxy import CuttingProxy
from tests.support.processes import wait_until
from tests.support.stack import Stack, Traffic, rounds, seeded

pytestmark = [pytest.mark.exactness, pytest.mark.timeout(7200)]


@pytest.fixture
def stack(broker: Broker, topic_prefix: str, tmp_path: Path) -> Iterator[Stack]:
    with Stack(broker, prefix=topic_prefix, directory=tmp_path) as running:
        yield running


def test_a_quiet_run_is_exact(stack: Stack) -> None:
    traffic = Traffic(stack, seeded("quiet"))
    stack.start_recorder()
    traffic.produce(5_000)
    stack.assert_exact(traffic)


def test_the_recorder_is_killed_at_random_moments(stack: Stack) -> None:
    rng = seeded("kill recorder")
    traffic = Traffic(stack, rng).start(per_second=rounds(500, 1_000))
    for _ in range(rounds(4, 25)):
        before = stack.stored_count()
        recorder = stack.start_recorder()
        stack.wait_stored(before + 1)
        time.sleep(rng.random() * 0.8)
        recorder.kill()
    traffic.stop()
    stack.start_recorder()
    stack.assert_exact(traffic)


def test_two_recorders_join_leave_and_die(stack: Stack) -> None:
    rng = seeded("join and leave")
    traffic = Traffic(stack, rng).start(per_second=800)
    stack.start_recorder("a", ready=True)
    for number in range(rounds(2, 12)):
        second = stack.start_recorder("b")
        time.sleep(rng.uniform(3, 9))
        if number % 2:
            second.kill()
        else:
            second.terminate(timeout_s=30)
        time.sleep(rng.random())
    traffic.stop()
    stack.assert_exact(traffic)


def test_the_database_is_killed_in_the_middle_of_inserts(stack: Stack) -> None:
    rng = seeded("kill database")
    stack.start_recorder(ready=True)
    traffic = Traffic(stack, rng).start(per_second=rounds(500, 1_000))
    for _ in range(rounds(8, 200)):
        stack.wait_stored(stack.stored_count() + 1)
        time.sleep(rng.random() * 0.3)
        stack.clickhouse.kill()
        stack.start_clickhouse()
    traffic.stop()
    stack.assert_exact(traffic)


def test_the_answer_to_a_stored_insert_never_comes(stack: Stack) -> None:
    rng = seeded("cut answers")
    with CuttingProxy(stack.clickhouse_port, cut_share=0.6, rng=rng) as proxy:
        recorder = stack.start_recorder(ready=True, clickhouse_url=f"http://127.0.0.1:{proxy.port}")
        traffic = Traffic(stack, rng).start(per_second=1_500)
        # As many events as it takes: a busy machine stores many of them with few inserts.
        wait_until(
            lambda: proxy.cut_count >= rounds(4, 40),
            timeout_s=600,
            what="answers that were cut",
            process=recorder,
        )
        traffic.stop()
        stack.assert_exact(traffic)


def test_the_database_hangs_for_longer_than_the_session_timeout(stack: Stack) -> None:
    rng = seeded("hung database")
    stack.start_recorder("a", ready=True)
    traffic = Traffic(stack, rng).start(per_second=500)
    for _ in range(rounds(1, 5)):
        stack.wait_stored(len(traffic.events) // 2)
        stack.clickhouse.send(signal.SIGSTOP)
        time.sleep(9)
        stack.clickhouse.send(signal.SIGCONT)
        time.sleep(2)
    traffic.stop()
    stack.assert_exact(traffic)


def test_a_frozen_recorder_that_wakes_after_its_partitions_went_away_writes_nothing(stack: Stack) -> None:
    rng = seeded("zombie")
    traffic = two_recorders(stack, rng)
    for _ in range(rounds(1, 8)):
        stack.wait_stored(len(traffic.events) // 2)
        freeze_and_wake(stack, after_s=rng.random(), frozen_s=rng.uniform(10, 13))
    traffic.stop()
    stack.assert_exact(traffic)


def test_a_recorder_that_is_frozen_before_its_first_commit_reads_from_the_beginning(stack: Stack) -> None:
    rng = seeded("frozen early")
    traffic = two_recorders(stack, rng)
    freeze_and_wake(stack, after_s=rng.random() * 0.5, frozen_s=rng.uniform(11, 13))
    traffic.stop()
    stack.assert_exact(traffic)


def two_recorders(stack: Stack, rng: random.Random) -> Traffic:
    """Start one recorder that is ready and another that will share with it, and events for both."""
    stack.start_recorder("a", ready=True)
    stack.start_recorder("b")
    return Traffic(stack, rng).start(per_second=800)


def freeze_and_wake(stack: Stack, *, after_s: float, frozen_s: float) -> None:
    """Freeze the first recorder, for longer than its session (6 s) lasts, and let it find out what happened."""
    time.sleep(after_s)
    stack.recorders["a"].send(signal.SIGSTOP)
    time.sleep(frozen_s)
    stack.recorders["a"].send(signal.SIGCONT)
    time.sleep(4)


def test_a_stopped_recorder_has_stored_and_committed_what_it_took_in(stack: Stack) -> None:
    traffic = Traffic(stack, seeded("graceful stop")).start(per_second=1_000)
    recorder = stack.start_recorder(ready=True)
    stack.wait_stored(1_000)
    assert recorder.terminate(timeout_s=30) == 0
    stored = stack.stored_count()
    stack.start_recorder(ready=True)
    traffic.stop()
    stack.assert_exact(traffic)
    assert '"run_healed"' not in (stack.directory / "recorder-a.log").read_text(), (
        "something was left uncommitted"
    )
    assert stored >= 1_000
