"""An outage from the first bounce to the verdict, over several partitions with real stores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.partition_store import PartitionStore
from postloop.contracts.blocklist_state import (
    ENTRY_PREFIX,
    HELD_PREFIX,
    AnySignal,
    provider_from_bytes,
    provider_key,
    signals_from_bytes,
    signals_to_bytes,
)
from postloop.domain.blocklist import DEFAULT_POLICY, Reported
from postloop.domain.incident import DEFAULT_GUARD_POLICY, MINUTE_MS, Counted, HoldBegan, HoldEnded
from postloop_streams.blocklist.folding import Folder
from postloop_streams.blocklist.holding import MAX_HELD, Holding
from postloop_streams.blocklist.partition import OwnedPartition
from postloop_streams.blocklist.watching import ProviderWatch
from postloop_streams.blocklist.work import Work
from tests.unit.domain.blocklist.histories import NOW_MS, hard, order

PARTITIONS = 3
START_MS = NOW_MS - NOW_MS % MINUTE_MS
OWNER = recipient_hash("gmail") % PARTITIONS


class Role:
    """Several partitions that tell each other what the guard decides, as through the topic of signals."""

    def __init__(self, stores: Sequence[PartitionStore], *, is_on: bool = True) -> None:
        self.stores = stores
        self.is_on = is_on
        self.now_ms = START_MS
        self.published: list[tuple[str, dict[str, Any] | None]] = []
        self._to_all: list[AnySignal] = []
        self.open()

    def open(self) -> None:
        """Begin anew with what the stores hold, as another worker would."""
        self.partitions = []
        for number, store in enumerate(self.stores):
            holding = Holding(store, policy=DEFAULT_POLICY, is_on=self.is_on)
            watch = ProviderWatch(store, policy=DEFAULT_GUARD_POLICY)
            folder = Folder(store, policy=DEFAULT_POLICY, form="clear", holding=holding, watch=watch)
            self.partitions.append(
                OwnedPartition(number, store, folder, holding=holding, watch=watch, publish=self._publish)
            )

    async def _publish(self, partition: int, work: Work) -> None:
        assert not work.failures
        self.published += [(r.topic, json.loads(r.value) if r.value else None) for r in work.outgoing]
        # Through bytes, as on the topic.
        self._to_all += signals_from_bytes(signals_to_bytes(work.to_all))

    async def take(self, number: int, *signals: AnySignal) -> Work:
        work = await self.partitions[number].apply(signals, now_ms=self.now_ms)
        assert work is not None
        while self._to_all:
            told, self._to_all = self._to_all, []
            for partition in self.partitions:
                await partition.apply(told, now_ms=self.now_ms)
        return work

    async def bounce(self, *signals: Reported) -> None:
        for signal in signals:
            await self.take(recipient_hash(signal.recipient) % PARTITIONS, signal)

    async def count(self, minute_ms: int, outcomes: int, hard_count: int) -> None:
        """Tell of one minute in which twelve domains of six accounts have equally much mail."""
        parts = tuple((f"a{n % 6}", f"d{n}.example", outcomes // 12, hard_count // 12) for n in range(12))
        await self.take(OWNER, Counted(provider="gmail", minute_ms=minute_ms, parts=parts))

    def events(self, topic: str) -> list[dict[str, Any]]:
        return [event for name, event in self.published if name == topic and event is not None]

    def stored(self, prefix: str) -> int:
        return sum(store.count(prefix) for store in self.stores)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[PartitionStore]]:
    with ExitStack() as stack:
        yield [stack.enter_context(PartitionStore(tmp_path / f"{n}.sqlite")) for n in range(PARTITIONS)]


@pytest.fixture
def role(stores: list[PartitionStore]) -> Role:
    return Role(stores)


def bounces(first: int, count: int, at_ms: int) -> list[Reported]:
    return [replace(hard(at_ms + n), recipient=f"user{n}@gmail.com") for n in range(first, first + count)]


async def outage(role: Role) -> None:
    """Play usual minutes, then an outage, which begins with the last seconds of a minute, until it is found."""
    for minute in range(-40, 0):
        await role.count(START_MS + minute * MINUTE_MS, 240, 0)
    await role.bounce(*bounces(0, 29, START_MS + 1_000), *bounces(29, 1, START_MS - 5_000))
    role.now_ms = START_MS + MINUTE_MS
    await role.count(START_MS, 240, 216)
    await role.count(START_MS + MINUTE_MS, 240, 216)


async def calm(role: Role, *, first: int = 2, minutes: int = 12) -> None:
    for minute in range(first, first + minutes):
        role.now_ms = START_MS + minute * MINUTE_MS
        await role.count(role.now_ms, 240, 0)


async def test_an_outage_leaves_no_entry(role: Role) -> None:
    await role.bounce(*bounces(900, 1, START_MS - 30 * MINUTE_MS))
    await outage(role)

    expires = role.events("blocklist.expire")
    assert len(expires) == 30
    assert {(e["cause"], e["reason"]) for e in expires} == {("rolled_back", "user_unknown")}
    await role.bounce(*bounces(30, 50, START_MS + MINUTE_MS))
    assert role.stored(HELD_PREFIX) == 50
    await calm(role)

    began, ended = role.events("delivery.alert")
    assert (began["kind"], began["mailbox_provider"], began["ended_at"]) == ("provider_outage", "gmail", None)
    assert ended["started_at"] == began["started_at"] and ended["ended_at"]
    assert (ended["figures"]["cause"], ended["figures"]["verdict"]) == ("over", "discard")
    assert role.stored(HELD_PREFIX) == 0
    assert len(role.events("blocklist.insert")) == 31
    active = [name for name, event in role.published if name == "blocklist.state" and event is None]
    assert len(active) == 30, "the bounce from before the outage still blocks"


async def test_without_the_guard_the_same_outage_blocks_everybody(stores: list[PartitionStore]) -> None:
    role = Role(stores, is_on=False)
    await role.bounce(*bounces(0, 80, START_MS + 1_000))

    assert len(role.events("blocklist.insert")) == 80
    assert role.events("blocklist.expire") == []


async def test_bounces_after_the_end_block_and_late_ones_of_the_outage_do_not(role: Role) -> None:
    await outage(role)
    await calm(role)
    inserted = len(role.events("blocklist.insert"))

    await role.bounce(*bounces(200, 5, START_MS + MINUTE_MS))
    assert len(role.events("blocklist.insert")) == inserted
    await role.bounce(*bounces(300, 5, role.now_ms + MINUTE_MS))
    assert len(role.events("blocklist.insert")) == inserted + 5


async def test_an_operator_lets_the_held_bounces_block(role: Role) -> None:
    await outage(role)
    await role.bounce(*bounces(30, 20, START_MS + MINUTE_MS))
    asked = replace(order("release_held", role.now_ms, command_id="c1"), recipient="gmail")
    await role.take(OWNER, asked)
    await role.take(OWNER, asked)

    replies = [r for r in role.events("blocklist.reply") if r["command_id"] == "c1"]
    assert [(r["outcome"], r["code"]) for r in replies] == [("done", "held_released")] * 2
    assert role.stored(HELD_PREFIX) == 0
    blocked = {e["recipient"] for e in role.events("blocklist.insert")}
    assert {f"user{n}@gmail.com" for n in range(30, 50)} <= blocked
    assert role.events("delivery.alert")[-1]["figures"]["cause"] == "operator"


@pytest.mark.parametrize(
    ("actor", "provider", "outcome", "code"),
    [
        pytest.param("account:acme", "gmail", "refused", "operators_only", id="an account"),
        pytest.param("operator:eve", "yahoo", "not_found", "nothing_held", id="nothing is held"),
    ],
)
async def test_a_decision_that_may_not_be_is_answered(
    role: Role, actor: str, provider: str, outcome: str, code: str
) -> None:
    await outage(role)
    asked = replace(order("discard_held", role.now_ms, actor=actor, command_id="c2"), recipient=provider)
    await role.take(recipient_hash(provider) % PARTITIONS, asked)

    (reply,) = [r for r in role.events("blocklist.reply") if r["command_id"] == "c2"]
    assert (reply["outcome"], reply["code"]) == (outcome, code)
    assert len(role.events("delivery.alert")) == 1


async def test_a_hold_survives_another_owner_and_ends_by_the_clock(role: Role) -> None:
    await outage(role)
    role.open()
    await role.bounce(*bounces(30, 3, START_MS + MINUTE_MS))
    assert role.stored(HELD_PREFIX) == 3

    role.now_ms += DEFAULT_GUARD_POLICY.max_hold_ms
    await role.partitions[OWNER].end_leases(now_ms=role.now_ms)
    await role.take(OWNER)
    assert role.events("delivery.alert")[-1]["figures"]["cause"] == "limit"
    assert role.stored(HELD_PREFIX) == 0


async def test_what_is_usual_is_remembered_by_the_next_owner(
    role: Role, stores: list[PartitionStore]
) -> None:
    role.now_ms = START_MS
    for minute in range(-40, 0):
        role.now_ms = START_MS + minute * MINUTE_MS
        await role.count(role.now_ms, 240, 0)

    (value,) = stores[OWNER].get([provider_key("gmail")]).values()
    assert provider_from_bytes(value).baseline.outcome_weight > 1_000


async def test_signals_of_a_hold_that_are_read_again_release_nothing_more(role: Role) -> None:
    await outage(role)
    await calm(role)
    started_ms = START_MS
    await role.bounce(*bounces(300, 5, role.now_ms + MINUTE_MS))
    released = len(role.events("blocklist.expire"))
    (alert, *_) = role.events("delivery.alert")
    again = HoldBegan(provider="gmail", incident_id=alert["figures"]["incident_id"], started_ms=started_ms)
    for number in range(PARTITIONS):
        await role.take(number, again)

    assert len(role.events("blocklist.expire")) == released
    await role.bounce(*bounces(400, 1, role.now_ms + MINUTE_MS))
    assert role.events("blocklist.insert")[-1]["recipient"] == "user400@gmail.com"


async def test_what_comes_before_a_hold_in_one_batch_is_taken_back_and_what_follows_is_held(
    role: Role,
) -> None:
    one, two = bounces(0, 2, START_MS)
    number = recipient_hash(one.recipient) % PARTITIONS
    two = replace(two, recipient=one.recipient)
    began = HoldBegan(provider="gmail", incident_id="x", started_ms=START_MS)
    ended = HoldEnded(
        provider="gmail", incident_id="x", started_ms=START_MS, until_ms=START_MS + 9, verdict="release"
    )
    work = await role.take(number, one, began, two, ended)

    assert (work.inserted, work.released, work.held) == (2, 1, 1), "the second blocks after the verdict"
    assert role.stored(HELD_PREFIX) == 0


async def test_of_one_address_the_newest_bounces_are_kept_each_once(role: Role) -> None:
    began = HoldBegan(provider="gmail", incident_id="x", started_ms=START_MS)
    many = [hard(START_MS + n, f"a{n}") for n in range(MAX_HELD + 5)]
    number = recipient_hash(many[0].recipient) % PARTITIONS
    await role.take(number, began, *many, *many)

    ((_, held),) = Holding(role.stores[number], policy=DEFAULT_POLICY, is_on=True).held("gmail", limit=9)
    assert held == many[-MAX_HELD:]


async def test_a_guard_that_is_switched_off_holds_no_more(role: Role, stores: list[PartitionStore]) -> None:
    await outage(role)
    off = Role(stores, is_on=False)
    off.now_ms = role.now_ms
    await off.bounce(*bounces(30, 4, START_MS + MINUTE_MS))

    assert len(off.events("blocklist.insert")) == 4
    assert off.stored(ENTRY_PREFIX) >= 4
