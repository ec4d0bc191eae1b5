"""Answers of a moment ago, for whoever asks the same again: pages that are polled, and many who look at one domain."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, NamedTuple, TypeVar

Answer = TypeVar("Answer")

_MAX_ANSWERS: Final = 200


class _Kept(NamedTuple, Generic[Answer]):
    work: asyncio.Task[Answer]
    until_s: float


class Recent(Generic[Answer]):
    """Makes each answer once for all who ask while it is made, and keeps it for a few seconds.

    What failed is not kept: those who waited get the failure, and the next one asks anew.
    """

    def __init__(self, *, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept[Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Return the answer that is known by `key`, or make it. It is at most `keep_s` older than this moment.

        Args:
            key: All that the answer depends on, whoever may see it included.
            make: Makes it; goes on when the one who asked first has gone.
        """
        kept = self._kept.get(key)
        if kept is None or kept.until_s <= self._clock():
            kept = self._kept[key] = _Kept(asyncio.create_task(make()), self._clock() + self._keep_s)
            kept.work.add_done_callback(lambda work: self._drop_failure(key, work))
            self._kept.move_to_end(key)
            while len(self._kept) > _MAX_ANSWERS:
                self._kept.popitem(last=False)
        return await asyncio.shield(kept.work)

    def _drop_failure(self, key: Hashable, work: asyncio.Task[Answer]) -> None:
        kept = self._kept.get(key)
        has_failed = work.cancelled() or work.exception() is not None
        if has_failed and kept is not None and kept.work is work:
            del self._kept[key]
