"""Requests that leave on time, whatever became of those before: a stall counts for all who come meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def ask_on_time(
    ask: Callable[[int, float], Coroutine[Any, Any, Answer]], *, count: int, per_s: float, lead_s: float = 0.0
) -> list[Answer]:
    """Return the answers to so many requests, the first of which leaves in `lead_s`.

    Args:
        ask: Makes a request, by its number and the moment of `perf_counter` at which it was due.
    """
    begin_s, tasks = perf_counter() + lead_s, []
    for number in range(count):
        due_s = begin_s + number / per_s
        await asyncio.sleep(max(0.0, due_s - perf_counter()))
        tasks.append(asyncio.create_task(ask(number, due_s)))
    return await asyncio.gather(*tasks)
