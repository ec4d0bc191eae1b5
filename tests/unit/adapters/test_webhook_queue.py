"""The persistent queue of webhooks: nothing is lost, nothing is given twice, and the file can be rebuilt."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.adapters.webhook_queue import Claimed, Counts, Result, WebhookQueue
from postloop.adapters.webhook_queue_changelog import QueueChangelog
from postloop.adapters.webhook_queue_file import Placed
from postloop.adapters.webhook_queue_upkeep import QueueUpkeep
from postloop.contracts.webhook_delivery import DeliveryV1, deliveries_from_bytes, delivery_to_bytes
from postloop.domain.errors import DataError
from postloop.domain.webhook.dispatch import Lane
from postloop.domain.webhook.endpoint import DAY_MS, RECOVERY_MS
from postloop.domain.webhook.health import HEALTHY, Health
from postloop.domain.webhook.notice import webhook_id

NOW = 1_790_000_000_000


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[WebhookQueue]:
    with WebhookQueue(tmp_path / "0.sqlite") as opened:
        yield opened


def delivery(number: int, *, endpoint_id: str = "ep1", arrived_ms: int = NOW, **fields: object) -> DeliveryV1:
    event_id = f"e{number}"
    made = DeliveryV1(
        webhook_id=webhook_id(event_id=event_id, endpoint_id=endpoint_id),
        endpoint_id=endpoint_id,
        event_id=event_id,
        type="email.bounced",
        body=f'{{"type":"email.bounced","timestamp":"t","data":{{"event_id":"{event_id}"}}}}',
        arrived_ms=arrived_ms,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def put(queue: WebhookQueue, *numbers: int, position: int | None = None, **fields: object) -> int:
    placed = [Placed(delivery(number, **fields), number) for number in numbers]  # type: ignore[arg-type]
    return queue.put(placed, position=position)


def claim(
    queue: WebhookQueue, *, now_ms: int = NOW, limit: int = 100, endpoint_id: str = "ep1"
) -> list[Claimed]:
    return queue.claim(endpoint_id, "first", now_ms=now_ms, limit=limit)


def done(claimed: list[Claimed], *, at_ms: int = NOW) -> list[Result]:
    return [Result(claimed=one, outcome="done", at_ms=at_ms) for one in claimed]


def dead(claimed: list[Claimed], *, at_ms: int = NOW) -> list[Result]:
    return [Result(claimed=one, outcome="dead", at_ms=at_ms, cause="client_error") for one in claimed]


def events(claimed: list[Claimed]) -> list[str]:
    return [one.event_id for one in claimed]


def logged(queue: WebhookQueue) -> dict[str, bytes | None]:
    """Write everything to a changelog, and return its records."""
    changelog, records = QueueChangelog(queue.file), {}
    while changes := changelog.pending(settle_before_ms=NOW + RECOVERY_MS, limit=3):
        records.update({change.key: change.value for change in changes})
        changelog.written(changes)
    return records


def test_what_is_claimed_is_given_to_nobody_else_until_it_is_recorded(queue: WebhookQueue) -> None:
    put(queue, 1, 2, 3)
    assert events(claim(queue, limit=2)) == ["e1", "e2"]
    rest = claim(queue)
    assert events(rest) == ["e3"]
    assert queue.due_counts("ep1", now_ms=NOW, limit=9) == (0, 0)
    queue.release(rest)
    assert queue.due_counts("ep1", now_ms=NOW, limit=9) == (1, 0)
    assert events(claim(queue)) == ["e3"]


def test_a_repeat_adds_nothing_whatever_became_of_the_first(queue: WebhookQueue) -> None:
    assert put(queue, 1, 2, 2) == 2
    first, second = claim(queue)
    queue.record([*done([first]), *dead([second])])
    assert put(queue, 1, 2) == 0
    assert claim(queue) == []
    assert queue.counts() == {"ep1": Counts(waiting_count=0, dead_count=1)}


def test_a_retry_comes_back_when_it_is_due_and_late_ones_in_a_lane_of_their_own(queue: WebhookQueue) -> None:
    put(queue, 1, due_ms=NOW + 1000)
    lanes: list[Lane] = ["first", "first", "late", "late"]
    for attempt, lane in enumerate(lanes, start=1):
        at_ms = NOW + attempt * 1000
        assert queue.claim("ep1", lane, now_ms=at_ms - 1, limit=1) == []
        (one,) = queue.claim("ep1", lane, now_ms=at_ms, limit=1)
        assert one.attempt == attempt
        queue.record([Result(claimed=one, outcome="retry", at_ms=at_ms, due_ms=at_ms + 1000)])
        assert queue.next_due_ms("ep1") == at_ms + 1000
    assert queue.due_endpoints(NOW + 4999) == []
    assert queue.due_endpoints(NOW + 5000) == ["ep1"]


def test_the_longest_due_comes_first_and_endpoints_do_not_mix(queue: WebhookQueue) -> None:
    put(queue, 1, arrived_ms=NOW - 1)
    put(queue, 2, arrived_ms=NOW - 3)
    put(queue, 3, endpoint_id="ep2", arrived_ms=NOW - 9)
    assert events(claim(queue)) == ["e2", "e1"]
    assert queue.due_endpoints(NOW) == ["ep1", "ep2"]
    assert claim(queue, endpoint_id="nobody") == []


def test_what_was_claimed_by_a_process_that_ended_waits_again(tmp_path: Path) -> None:
    with WebhookQueue(tmp_path / "0.sqlite") as queue:
        put(queue, 1, 2, position=3)
        queue.record(done(claim(queue, limit=1)))
        claim(queue)
    with WebhookQueue(tmp_path / "0.sqlite") as queue:
        assert queue.counts() == {"ep1": Counts(waiting_count=1, dead_count=0)}
        assert queue.next_due_ms("ep1") == NOW
        assert events(claim(queue)) == ["e2"]
        assert put(queue, 1) == 0


def test_a_batch_repeats_its_id_and_its_members_also_after_a_crash(tmp_path: Path) -> None:
    with WebhookQueue(tmp_path / "0.sqlite") as queue:
        put(queue, 1, 2)
        first = queue.claim_batch("ep1", "first", now_ms=NOW)
    with WebhookQueue(tmp_path / "0.sqlite") as queue:
        put(queue, 3)
        again = queue.claim_batch("ep1", "first", now_ms=NOW)
        other = queue.claim_batch("ep1", "first", now_ms=NOW)
        assert again == first
        assert events(other) == ["e3"]
        assert {one.batch for one in again} != {one.batch for one in other}
        queue.record([Result(claimed=one, outcome="retry", at_ms=NOW, due_ms=NOW + 5) for one in again])
        retried = queue.claim_batch("ep1", "first", now_ms=NOW + 5)
        assert [(one.event_id, one.attempt) for one in retried] == [("e1", 2), ("e2", 2)]
        assert {one.batch for one in retried} == {one.batch for one in first}


def test_a_batch_holds_what_fits_into_one_request(queue: WebhookQueue) -> None:
    put(queue, 1, 2, 3, body="x" * 130_000)
    assert events(queue.claim_batch("ep1", "first", now_ms=NOW)) == ["e1", "e2"]
    assert events(queue.claim_batch("ep1", "first", now_ms=NOW)) == ["e3"]
    assert queue.claim_batch("ep1", "first", now_ms=NOW) == []


def test_only_what_was_given_up_since_then_is_recovered_under_its_old_id(queue: WebhookQueue) -> None:
    put(queue, 1, arrived_ms=NOW - 10)
    put(queue, 2)
    put(queue, 3)
    claimed = claim(queue)
    queue.record([*dead(claimed[:2]), *done(claimed[2:])])
    upkeep = QueueUpkeep(queue.file)
    assert upkeep.recover("ep1", since_ms=NOW - 5, now_ms=NOW + 1) == 1
    (one,) = claim(queue, now_ms=NOW + 1)
    assert (one.webhook_id, one.attempt) == (delivery(2).webhook_id, 1)
    assert upkeep.recover("ep1", since_ms=NOW - 5, now_ms=NOW + 1) == 0


def test_what_was_delivered_can_be_sent_again_under_its_old_id_for_a_day(queue: WebhookQueue) -> None:
    put(queue, 1)
    (before,) = claim(queue)
    queue.record(done([before]))
    upkeep = QueueUpkeep(queue.file)
    assert upkeep.resend([before.webhook_id, delivery(9).webhook_id], now_ms=NOW) == 1
    (after,) = claim(queue)
    assert (after.webhook_id, after.body, after.attempt) == (before.webhook_id, before.body, 1)
    queue.record(done([after]))
    assert upkeep.forget(now_ms=NOW + DAY_MS - 1) == 0
    assert upkeep.forget(now_ms=NOW + DAY_MS) == 1
    assert upkeep.resend([before.webhook_id], now_ms=NOW) == 0


def test_a_purged_endpoint_leaves_nothing_and_a_running_attempt_no_trace(queue: WebhookQueue) -> None:
    put(queue, 1, 2, 3)
    put(queue, 4, endpoint_id="ep2")
    logged(queue)
    queue.record(dead(claim(queue, limit=1)))
    upkeep = QueueUpkeep(queue.file)
    while upkeep.purge("ep1", limit=1):
        pass
    assert queue.counts() == {"ep2": Counts(waiting_count=1, dead_count=0)}
    assert list(logged(queue).values()) == [None, None, None]
    assert upkeep.forget(now_ms=NOW) == 3
    assert logged(queue) == {}


def test_what_waits_for_a_disabled_endpoint_becomes_recoverable_and_is_forgotten_after_14_days(
    queue: WebhookQueue,
) -> None:
    put(queue, 1, 2)
    upkeep = QueueUpkeep(queue.file)
    assert upkeep.give_up("ep1", cause="disabled", now_ms=NOW) == 2
    assert queue.counts() == {"ep1": Counts(waiting_count=0, dead_count=2)}
    assert upkeep.forget(now_ms=NOW + RECOVERY_MS - 1) == 0
    assert upkeep.forget(now_ms=NOW + RECOVERY_MS) == 2
    assert queue.counts() == {}


def test_what_is_due_for_14_days_is_given_up(queue: WebhookQueue) -> None:
    put(queue, 1)
    put(queue, 2, arrived_ms=NOW + 1)
    upkeep = QueueUpkeep(queue.file)
    assert upkeep.forget(now_ms=NOW + RECOVERY_MS) == 1
    assert queue.counts() == {"ep1": Counts(waiting_count=1, dead_count=1)}


def test_the_oldest_marks_go_first_when_there_are_too_many(queue: WebhookQueue) -> None:
    put(queue, 1, 2, 3)
    for number, one in enumerate(claim(queue)):
        queue.record(done([one], at_ms=NOW + number))
    assert QueueUpkeep(queue.file).forget(now_ms=NOW, max_done_count=1) == 2
    assert put(queue, 1, 2, 3) == 2


def test_the_committed_place_stays_behind_what_neither_was_made_nor_is_logged(queue: WebhookQueue) -> None:
    changelog = QueueChangelog(queue.file)
    put(queue, 1, 2, 3, position=4)
    assert changelog.safe_position() == 1
    claimed = claim(queue)
    queue.record(done(claimed[:1]))
    assert changelog.safe_position() == 2
    queue.record([Result(claimed=claimed[1], outcome="retry", at_ms=NOW, due_ms=NOW + 5000)])
    assert changelog.safe_position() == 2
    logged(queue)
    assert changelog.safe_position() == 4


def test_a_delivery_that_is_made_at_once_costs_no_record(queue: WebhookQueue) -> None:
    put(queue, 1)
    queue.record(done(claim(queue)))
    assert logged(queue) == {}


def test_a_row_that_changed_while_it_was_written_is_written_again(queue: WebhookQueue) -> None:
    changelog = QueueChangelog(queue.file)
    put(queue, 1)
    before = changelog.pending(settle_before_ms=NOW, limit=9)
    queue.record(dead(claim(queue)))
    changelog.written(before)
    (after,) = changelog.pending(settle_before_ms=NOW, limit=9)
    assert after.value is not None
    assert b'"state":"dead"' in after.value


def test_a_second_cause_tells_nothing_as_long_as_the_first_is_remembered(tmp_path: Path) -> None:
    with WebhookQueue(tmp_path / "0.sqlite") as queue:
        put(queue, 1, remember_ms=5 * DAY_MS)
        queue.record(done(claim(queue)))
        records = logged(queue)
        assert QueueUpkeep(queue.file).forget(now_ms=NOW + 5 * DAY_MS - 1) == 0
    with WebhookQueue(tmp_path / "new owner.sqlite") as queue:
        QueueChangelog(queue.file).restore(list(records.items()))
        assert put(queue, 1) == 0
        upkeep = QueueUpkeep(queue.file)
        assert upkeep.resend([delivery(1).webhook_id], now_ms=NOW) == 0
        assert upkeep.forget(now_ms=NOW + 5 * DAY_MS) == 1
        assert list(logged(queue).values()) == [None]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("d|msg_x", b"{}", id="no id"),
        pytest.param("d|msg_abcd", None, id="half an id"),
        pytest.param(f"d|{delivery(1).webhook_id}", b"null", id="null"),
        pytest.param(f"d|{delivery(1).webhook_id}", b"[" * 50_000, id="nested"),
        pytest.param("h|ep1", b"null", id="no health"),
        pytest.param("h|ep1", b"\xff", id="no UTF-8"),
    ],
)
def test_what_nobody_of_us_wrote_into_the_changelog_is_passed_over_and_told(
    queue: WebhookQueue, key: str, value: bytes | None
) -> None:
    good = delivery_to_bytes(delivery(1))
    refused = QueueChangelog(queue.file).restore([(f"d|{delivery(1).webhook_id}", good), (key, value)])
    assert [place for place, _ in refused] == [1]
    assert events(claim(queue)) == ["e1"]


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_id": "msg_x"},
        {"arrived_ms": 10**30},
        {"due_ms": 2**63},
        {"version": 2**64},
        {"attempt_count": -1},
    ],
)
def test_a_delivery_that_no_file_can_hold_is_none(changed: dict[str, object]) -> None:
    plain = json.loads(delivery_to_bytes(delivery(1)))
    with pytest.raises(DataError):
        deliveries_from_bytes(json.dumps([{**plain, **changed}]).encode())


def test_what_another_owner_settled_is_dropped_from_a_file_that_was_left_behind(queue: WebhookQueue) -> None:
    put(queue, 1, 2, 3)
    assert QueueChangelog(queue.file).drop_settled(3) == 2
    assert events(claim(queue)) == ["e3"]


def test_a_file_whose_broker_came_back_empty_is_the_truth(queue: WebhookQueue) -> None:
    put(queue, 1, 2, position=3)
    logged(queue)
    queue.record(done(claim(queue, limit=1)))
    changelog = QueueChangelog(queue.file)
    assert changelog.adopt() == 1
    assert changelog.safe_position() == 0
    assert list(logged(queue)) == [f"d|{delivery(2).webhook_id}"]


def test_a_new_owner_knows_since_when_an_endpoint_fails(tmp_path: Path) -> None:
    failing = Health(first_ms=NOW, last_ms=NOW + 5, failure_count=2)
    with WebhookQueue(tmp_path / "old.sqlite") as old, WebhookQueue(tmp_path / "new.sqlite") as new:
        record = QueueChangelog(old.file).keep_health("ep1", failing)
        changelog = QueueChangelog(new.file)
        changelog.restore([record], position=3)
        assert changelog.health("ep1") == QueueChangelog(old.file).health("ep1") == failing
        changelog.restore([changelog.keep_health("ep1", HEALTHY)])
        assert changelog.health("ep1") == changelog.health("ep2") == HEALTHY


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "done", "retry", "dead", "recover", "resend", "log"]), st.integers(0, 5)
    ),
    max_size=14,
)


@settings(max_examples=60)
@given(steps=steps, mix=st.randoms(use_true_random=False))
def test_a_new_owner_has_from_the_changelog_what_waits_and_what_can_be_recovered(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], mix: random.Random
) -> None:
    """Whatever happened, in whatever stretches the changelog is read, and read again."""
    path, log = tmp_path_factory.mktemp("queue"), []
    with WebhookQueue(path / "old.sqlite") as queue, WebhookQueue(path / "new.sqlite") as new:
        upkeep, changelog = QueueUpkeep(queue.file), QueueChangelog(queue.file)
        for kind, number in [*steps, ("log", 0)]:
            if kind == "put":
                put(queue, number)
            elif kind == "recover":
                upkeep.recover("ep1", since_ms=0, now_ms=NOW)
            elif kind == "resend":
                upkeep.resend([delivery(number).webhook_id], now_ms=NOW)
            elif kind == "log":
                while changes := changelog.pending(settle_before_ms=NOW, limit=2):
                    log += [(change.key, change.value) for change in changes]
                    changelog.written(changes)
            else:
                claimed = claim(queue, limit=1)
                results = done(claimed) if kind == "done" else dead(claimed)
                if kind == "retry":
                    results = [Result(claimed=c, outcome="retry", at_ms=NOW, due_ms=NOW) for c in claimed]
                queue.record(results)
        read = 0
        while read < len(log):  # the last records are sometimes read twice
            end = read + mix.randint(1, 4)
            QueueChangelog(new.file).restore(log[max(0, read - mix.randint(0, 2)) : end])
            read = end
        assert new.counts() == queue.counts()
        assert attempts(new) == attempts(queue)


def attempts(queue: WebhookQueue) -> set[tuple[str, int, bytes]]:
    lanes: list[Lane] = ["first", "late"]
    claimed = [one for lane in lanes for one in queue.claim("ep1", lane, now_ms=NOW, limit=99)]
    return {(one.webhook_id, one.attempt, one.body) for one in claimed}


CHILD = """
import sys
from pathlib import Path
from postloop.adapters.webhook_queue import Result, WebhookQueue
from tests.unit.adapters.test_webhook_queue import NOW, Placed, delivery
with WebhookQueue(Path(sys.argv[1])) as queue:
    number = int(sys.argv[2])
    while True:
        queue.put([Placed(delivery(number + i), number + i) for i in range(20)], position=number + 20)
        number += 20
        claimed = queue.claim("ep1", "first", now_ms=NOW, limit=15)
        for one in claimed:
            print("attempt", one.event_id)
        sys.stdout.flush()
        queue.record([Result(claimed=one, outcome="done", at_ms=NOW) for one in claimed])
        print("position", number, flush=True)
"""


def test_a_process_that_is_killed_at_any_moment_loses_nothing_and_tears_nothing(tmp_path: Path) -> None:
    path, chance, attempted = tmp_path / "0.sqlite", random.Random(7), set()
    start = 0
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(start)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path.cwd(),
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(40, 400))]
        os.kill(child.pid, signal.SIGKILL)
        lines = [line for line in [*lines, *child.stdout.readlines()] if line.endswith("\n")]
        child.wait()
        child.stdout.close()
        attempted |= {line.split()[1] for line in lines if line.startswith("attempt ")}
        with WebhookQueue(path) as queue:
            start = int(queue.file.about("position") or 0)
            assert start >= max(int(line.split()[1]) for line in lines if line.startswith("position "))
            assert queue.file.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            known = {f"e{number}" for number in range(start)}
            waiting = set(events(claim(queue, limit=start)))
            assert put(queue, *range(start)) == 0
            assert waiting | attempted >= known
            assert len(waiting) == queue.counts()["ep1"].waiting_count
