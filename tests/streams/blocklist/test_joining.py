"""What comes while something is worked off is joined, and nothing of it is lost, repeated or told to the wrong one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop_streams.joining import Joined, Overlap

batches = st.lists(st.lists(st.integers(), max_size=5), min_size=1, max_size=8)


class Work:
    """Notes what it is given, and lets others in meanwhile."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.running = 0

    async def __call__(self, items: Sequence[int]) -> int:
        assert not self.running, "two at once"
        self.running += 1
        await asyncio.sleep(0)
        self.running -= 1
        self.calls.append(list(items))
        return len(self.calls)


@given(batches, st.integers(1, 12))
def test_every_item_is_worked_off_once_in_order_and_within_the_limit(
    wanted: list[list[int]], limit: int
) -> None:
    async def run() -> None:
        work = Work()
        joined = Joined[int, int](work, limit=limit)
        shares = await asyncio.gather(*(joined(items) for items in wanted))
        assert [item for call in work.calls for item in call] == [item for items in wanted for item in items]
        assert all(len(call) <= max(limit, *map(len, wanted)) for call in work.calls)
        assert sorted(share.result for share in shares if share.leads) == list(range(1, len(work.calls) + 1))

    asyncio.run(run())


def test_what_waits_is_worked_off_in_one_piece() -> None:
    async def run() -> None:
        work = Work()
        joined = Joined[int, int](work, limit=100)
        await asyncio.gather(*(joined([number]) for number in range(10)))
        assert work.calls == [[0], list(range(1, 10))]

    asyncio.run(run())


def test_an_error_is_told_to_all_who_took_part_and_to_nobody_after_them() -> None:
    async def fail(items: Sequence[int]) -> int:
        await asyncio.sleep(0)
        if 13 in items:
            raise ValueError("thirteen")
        return len(items)

    async def run() -> None:
        joined = Joined[int, int](fail, limit=2)
        told = await asyncio.gather(*(joined([n]) for n in (0, 13, 1, 2)), return_exceptions=True)
        assert [isinstance(one, ValueError) for one in told] == [False, True, True, False]

    asyncio.run(run())


def test_so_many_run_side_by_side_and_no_more() -> None:
    async def run() -> None:
        running, most = 0, 0
        gate = asyncio.Event()

        async def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await gate.wait()
            running -= 1

        overlap = Overlap(3, fail=pytest.fail)
        starting = asyncio.create_task(_start(overlap, work, 5))
        for _ in range(10):
            await asyncio.sleep(0)
        assert (running, starting.done()) == (3, False)
        gate.set()
        await starting
        for _ in range(10):
            await asyncio.sleep(0)
        assert (running, most) == (0, 3)

    asyncio.run(run())


async def _start(overlap: Overlap, work: object, count: int) -> None:
    for _ in range(count):
        await overlap.start(work())  # type: ignore[operator]


def test_a_failure_ends_the_role() -> None:
    async def run() -> list[str]:
        reasons: list[str] = []

        async def work() -> None:
            raise KeyError("lost")

        await Overlap(1, fail=reasons.append).start(work())
        for _ in range(5):
            await asyncio.sleep(0)
        return reasons

    assert asyncio.run(run()) == ["KeyError: 'lost'"]
