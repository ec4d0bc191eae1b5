"""One item is made while another is used, no more, and what fails is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from postloop_streams.ahead import ahead


class Made:
    """Yields numbers and says how many it has begun to make."""

    def __init__(self, count: int, *, fails_at: int = -1) -> None:
        self._count = count
        self._fails_at = fails_at
        self.begun = 0

    def items(self) -> Iterator[tuple[int]]:
        for number in range(self._count):
            self.begun += 1
            if number == self._fails_at:
                raise OSError("away")
            yield (number,)


async def _eventually(made: Made, begun: int) -> None:
    async with asyncio.timeout(5):
        while made.begun < begun:
            await asyncio.sleep(0.001)


async def test_the_next_is_made_while_one_is_used_and_none_after_it() -> None:
    made, seen = Made(5), []
    async for (number,) in ahead(made.items()):
        await _eventually(made, min(number + 2, 5))
        await asyncio.sleep(0.02)
        assert made.begun == min(number + 2, 5)
        seen.append(number)
    assert seen == [0, 1, 2, 3, 4]


async def test_nothing_is_nothing() -> None:
    assert [item async for item in ahead(Made(0).items())] == []


async def test_what_fails_is_told_after_what_came_before_it() -> None:
    stream = ahead(Made(5, fails_at=2).items())
    assert [await anext(stream), await anext(stream)] == [(0,), (1,)]
    with pytest.raises(OSError, match="away"):
        await anext(stream)


async def test_who_stops_early_leaves_no_task_behind() -> None:
    made = Made(5)
    stream = ahead(made.items())
    assert await anext(stream) == (0,)
    await stream.aclose()
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
