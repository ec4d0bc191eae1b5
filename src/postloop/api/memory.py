"""The blocklist in memory: `may this sender domain mail this recipient?` without asking anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from postloop.api.problems import missing
from postloop.client import AsyncBlocklist, BlockedBy, NotReady, Stale
from postloop.settings import Settings

# Looking up an address that is not plain takes up to 0.1 ms: others get their turn after so many.
_AT_ONCE: Final = 100


class BlocklistMemory:
    """Follows `blocklist.state` while the process runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._list: AsyncBlocklist | None = None

    async def start(self) -> None:
        """Begin to read the list."""
        self._list = AsyncBlocklist.from_settings(self._settings)

    async def stop(self) -> None:
        if self._list is not None:
            await self._list.close()

    @property
    def problem(self) -> str:
        """Why it cannot answer, empty while it can."""
        if self._list is None:
            return "not started"
        stats = self._list.stats()
        return "" if stats.ready else stats.problem

    @property
    def entry_count(self) -> int:
        """How many entries it holds."""
        return 0 if self._list is None else self._list.stats().entries

    async def entries(self, pairs: Sequence[tuple[str, str]]) -> list[BlockedBy | None]:
        """Return for each pair of sender domain and recipient what blocks it, None where nothing does.

        Raises:
            Problem: 503: the list was not read yet, or nothing was heard of it for too long.
        """
        if self._list is None:
            raise missing("blocklist", "The blocklist is not read yet.")
        found: list[BlockedBy | None] = []
        try:
            for start in range(0, len(pairs), _AT_ONCE):
                if start:
                    await asyncio.sleep(0)
                found += self._list.entries(pairs[start : start + _AT_ONCE])
        except NotReady:
            raise missing("blocklist", "The blocklist was not read to its end yet.") from None
        except Stale:
            raise missing("blocklist", "Nothing was heard of the blocklist for a minute.") from None
        return found
