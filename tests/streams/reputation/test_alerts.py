"""Alerts of the reputation role: each begins once and ends once, whatever becomes of the worker."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from postloop.adapters.feedback_reader import FeedbackCounts
from postloop.adapters.partition_store import PartitionStore
from postloop.contracts.fields import milliseconds
from postloop.contracts.watch_state import delay_key, silence_key
from postloop.domain.alert import Scope
from postloop.domain.delivery_time import DEFAULT_DELAY_POLICY
from postloop_streams.patience import AbandonedError
from postloop_streams.reputation.alerting import FORGET_DELAYS_MS, watch_item
from postloop_streams.reputation.watching import CLOSED_AFTER, EVERYBODY, LEARNED_DAYS
from tests.streams.reputation.world import AT_GMAIL, HOUR, SENDER, SLICE, START, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with PartitionStore(tmp_path / "0.sqlite") as store:
        yield World(store)


def deliveries(world: World, scope: Scope, *, late: range, count: int = 36, each: int = 100) -> None:
    """Count so many slices of deliveries; in some of them half are late."""
    for number in range(count):
        at_ms = milliseconds(START + number * SLICE)
        world.counts.by_slice[scope][at_ms] = (each, each // 2 if number in late else 2)


async def pass_slices(world: World, count: int, *, restarted: bool = False) -> None:
    for _ in range(count):
        world.now += SLICE
        await world.look(restarted=restarted)


@pytest.mark.parametrize("restarted", [False, True], ids=["one worker", "a new worker at every look"])
async def test_delays_are_told_once_when_they_begin_and_once_when_they_end(
    world: World, restarted: bool
) -> None:
    deliveries(world, SENDER, late=range(12, 20))
    deliveries(world, AT_GMAIL, late=range(12, 20))
    await pass_slices(world, 34, restarted=restarted)

    for kind, scope in (("delays", SENDER), ("slow", AT_GMAIL)):
        began, ended = world.told(kind)
        assert (began.account_id, began.sender_domain) == ("acme", "mail.acme.example")
        assert began.mailbox_provider == scope.mailbox_provider
        assert began.started_at == ended.started_at == START + 12 * SLICE
        assert began.ended_at is None
        assert ended.ended_at is not None
        assert began.event_id != ended.event_id
        assert began.figures["incident_id"] == ended.figures["incident_id"]
        assert ended.figures["cause"] == "over"
        assert "arrives late" in began.text or "accepts mail of mail.acme.example late" in began.text


async def test_a_clock_that_is_set_back_stops_no_look(world: World) -> None:
    assert await world.watch.look({0: world.store})
    assert not await world.watch.look({0: world.store})
    world.now -= HOUR
    assert await world.watch.look({0: world.store})
    assert not await world.watch.look({0: world.store})


async def test_usual_delivery_times_tell_nothing(world: World) -> None:
    deliveries(world, SENDER, late=range(0))
    await pass_slices(world, 36)
    assert world.outlet.alerts == []


@pytest.mark.parametrize("where", ["keep", "tell_alerts", "store_watches"])
async def test_a_worker_that_dies_in_between_is_followed_by_one_that_tells_the_same(
    world: World, where: str
) -> None:
    deliveries(world, SENDER, late=range(12, 20))
    await pass_slices(world, 12)
    while not world.outlet.alerts and world.now < START + 20 * SLICE:
        world.now += SLICE
        world.outlet.dies_after = where if world.now > START + 12 * SLICE else ""
        try:
            await world.look()
        except AbandonedError:
            # What it had kept is all that is left: the changelog, of which the file is an image.
            world.store.apply(
                [watch_item(key, value) for key, value in world.outlet.kept.items() if value is not None]
            )
            await world.look(restarted=True)
    await pass_slices(world, 20)

    told = {alert.event_id: alert for alert in world.told("delays")}
    assert all(alert == told[alert.event_id] for alert in world.told("delays"))
    assert [alert.ended_at is None for alert in told.values()] == [True, False]


async def test_an_alert_whose_deliveries_stop_ends_at_its_limit(world: World) -> None:
    deliveries(world, SENDER, late=range(24, 30), count=30)
    await pass_slices(world, 31)
    world.now = START + timedelta(milliseconds=DEFAULT_DELAY_POLICY.max_alert_ms) + 8 * HOUR
    await world.look(restarted=True)

    began, ended = world.told("delays")
    assert (began.figures.get("cause"), ended.figures["cause"]) == (None, "limit")


async def test_a_sender_that_delivers_nothing_any_more_is_forgotten(world: World) -> None:
    deliveries(world, SENDER, late=range(0), count=3)
    await pass_slices(world, 4)
    assert world.store.get([delay_key(SENDER)])
    world.now += timedelta(milliseconds=FORGET_DELAYS_MS)
    await world.look()

    assert not world.store.get([delay_key(SENDER)])
    assert world.outlet.rows[delay_key(SENDER)].is_deleted


async def test_what_is_stored_in_clickhouse_is_what_the_changelog_holds(world: World) -> None:
    deliveries(world, SENDER, late=range(12, 20))
    await pass_slices(world, 20)
    assert {key: row.value.encode() for key, row in world.outlet.rows.items()} == world.outlet.kept


def feedback(world: World, *, days: float, silent: range, opens: int = 30, scope: Scope = SENDER) -> None:
    """Count mail by day and by night; in some hours no opens arrive."""
    chance = random.Random(7)
    for number in range(round(days * 24)):
        at = START - LEARNED_DAYS + number * HOUR
        busy = 1.0 if 7 <= at.hour < 22 else 0.2
        seen = 0 if number in silent else max(1, round(opens * busy * chance.uniform(0.7, 1.3)))
        counts = FeedbackCounts(
            accepted=round(500 * busy), delivered=round(490 * busy), bounces=4, opens=seen
        )
        world.counts.by_hour[scope][milliseconds(at)] = counts


async def pass_hours(world: World, count: int, *, restarted: bool = False) -> None:
    for _ in range(count):
        world.now += HOUR
        await world.look(restarted=restarted)


BEGAN = 14 * 24 + 8


@pytest.mark.parametrize("restarted", [False, True], ids=["one worker", "a new worker at every look"])
async def test_silence_is_told_once_when_it_begins_and_once_when_feedback_is_back(
    world: World, restarted: bool
) -> None:
    feedback(world, days=17, silent=range(BEGAN, BEGAN + 12))
    world.now += CLOSED_AFTER
    await pass_hours(world, 48, restarted=restarted)

    began, ended = world.told("silence")
    assert (began.sender_domain, began.figures["feedback"]) == ("mail.acme.example", "open")
    assert began.started_at == START + 8 * HOUR
    assert ended.ended_at == START + 20 * HOUR
    assert (began.ended_at, ended.figures["cause"]) == (None, "over")
    assert began.text.startswith("No opens arrive for mail.acme.example")


async def test_two_feeds_that_break_in_the_same_hour_are_two_alerts(world: World) -> None:
    feedback(world, days=17, silent=range(BEGAN, BEGAN + 40))
    for at_ms, counts in list(world.counts.by_hour[SENDER].items()):
        if at_ms >= milliseconds(START + 8 * HOUR):
            world.counts.by_hour[SENDER][at_ms] = counts._replace(bounces=0)
    world.now += CLOSED_AFTER
    await pass_hours(world, 47)

    assert {alert.figures["feedback"] for alert in world.told("silence")} == {"open", "bounce"}
    assert len({alert.figures["incident_id"] for alert in world.told("silence")}) == 2


async def test_hours_missed_while_no_worker_ran_are_made_up_for(world: World) -> None:
    feedback(world, days=17, silent=range(BEGAN, BEGAN + 12))
    world.now += CLOSED_AFTER
    await pass_hours(world, 2)
    world.now += 40 * HOUR
    await world.look(restarted=True)

    began, ended = world.told("silence")
    assert (began.started_at, ended.ended_at) == (START + 8 * HOUR, START + 20 * HOUR)


async def test_the_first_look_tells_what_goes_on_and_not_what_is_over(world: World) -> None:
    feedback(world, days=14, silent=range(10 * 24, 10 * 24 + 24))
    world.now += CLOSED_AFTER
    await world.look()
    assert world.told("silence") == []

    other = Scope(account_id="zeta", sender_domain="zeta.example")
    feedback(world, days=14, silent=range(13 * 24, 14 * 24), scope=other)
    await pass_hours(world, 1)
    assert [(a.sender_domain, a.ended_at) for a in world.told("silence")] == [("zeta.example", None)]


async def test_an_hour_is_not_judged_before_the_recorder_has_passed_it(world: World) -> None:
    feedback(world, days=17, silent=range(BEGAN, BEGAN + 12))
    world.now += CLOSED_AFTER
    await pass_hours(world, 6)
    world.counts.is_stored = False
    await pass_hours(world, 12)
    assert world.told("silence") == []
    world.counts.is_stored = True
    await pass_hours(world, 1)
    assert len(world.told("silence")) == 1


async def test_a_sender_with_little_feedback_is_not_watched(world: World) -> None:
    feedback(world, days=14, silent=range(0), opens=1)
    world.now += CLOSED_AFTER
    await world.look()
    watched = {
        feedback for feedback in ("open", "bounce") if world.store.get([silence_key(SENDER, feedback)])
    }
    assert watched == {"bounce"}


async def test_a_feed_that_breaks_for_everybody_is_one_more_alert(world: World) -> None:
    feedback(world, days=17, silent=range(BEGAN, BEGAN + 40))
    feedback(world, days=17, silent=range(BEGAN, BEGAN + 40), scope=EVERYBODY)
    world.now += CLOSED_AFTER
    await pass_hours(world, 20)
    assert {alert.sender_domain for alert in world.told("silence")} == {None, "mail.acme.example"}


async def test_a_sender_without_a_busy_week_is_forgotten_unless_an_alert_goes_on(world: World) -> None:
    feedback(world, days=16, silent=range(BEGAN, 16 * 24))
    world.now += CLOSED_AFTER
    await pass_hours(world, 30)
    assert len(world.told("silence")) == 1
    world.counts.by_hour.clear()
    for _ in range(2):
        world.now += 24 * HOUR
        await world.look()
    kept = {key for key, value in world.outlet.kept.items() if value is not None}
    assert kept == {silence_key(SENDER, "open")}
