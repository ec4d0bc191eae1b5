"""Items of a blocking iterator, the next one made while the one before is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")


async def ahead(items: Iterator[_Item]) -> AsyncGenerator[_Item]:
    """Yield items that a thread makes; one is ready at most, so memory stays bounded.

    Raises:
        Exception: What the iterator raised, in its place.
    """
    following = asyncio.create_task(asyncio.to_thread(next, items, None))
    try:
        while (item := await following) is not None:
            following = asyncio.create_task(asyncio.to_thread(next, items, None))
            yield item
    finally:
        following.cancel()
