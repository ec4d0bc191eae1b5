"""The blocklist in memory: `may this sender domain mail this recipient?` without asking anybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from postloop.api.problems import missing
from postloop.client import AsyncBlocklist, BlockedBy, NotReady, Stale
from postloop.settings import Settings

# Looking up an address that is not plain takes up to 0.1 ms: others get their turn after so many.
_AT_ONCE: Final = 100
# A release is in the log before its answer is, and is read within some tens of milliseconds.
_LIFTED_S: Final = 2.0
_LOOK_S: Final = 0.01


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

    async def lifted(self, scope: str, recipient: str, *, within_s: float = _LIFTED_S) -> None:
        """Return when the entry that was lifted is no longer in memory; after `within_s` in any case.

        An entry that takes its place meanwhile is another one, and not waited for.

        Args:
            scope: `global`, or a sender domain.
            recipient: As it was asked for, in any spelling.
        """
        first, deadline_s = self._held(scope, recipient), time.monotonic() + within_s
        while first is not None and self._held(scope, recipient) == first and time.monotonic() < deadline_s:
            await asyncio.sleep(_LOOK_S)

    def _held(self, scope: str, recipient: str) -> str | None:
        """Return the id of the entry in exactly this scope; None also where nothing can be said."""
        if self._list is None:
            return None
        try:
            found = self._list.entry(scope, recipient)
        except (NotReady, Stale):
            return None
        return found.entry_id if found is not None and found.scope == scope else None
