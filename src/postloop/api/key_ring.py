"""The keys in memory: no request waits for ClickHouse to know who asks.

All keys are read again every REFRESH_S, so a revoked key ends within that and the time of one query. While ClickHouse
is away the keys known last go on to count. A key that is not known is looked for at once, not more often than twice a
second: it may have been made a moment ago. Who asks with one waits LOOK_S at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from postloop.adapters.api_key_store import ApiKeyStore
from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.telemetry import get_logger
from postloop.api.problems import Problem, missing
from postloop.api.warehouse import Warehouse
from postloop.domain.api_key import ApiKey, id_of, refusal
from postloop.settings import Settings

REFRESH_S: Final = 3.0
LOOK_S: Final = 10.0
_SHORTEST_PAUSE_S: Final = 0.5
_NOTE_USES_S: Final = 30.0
log = get_logger("postloop.api")


class KeyRing:
    """Knows who owns a key. Used from one loop."""

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self._warehouse = warehouse
        self._settings = settings
        self._keys: Mapping[str, ApiKey] | None = None
        self._problem = "keys were not read yet"
        self._uses: dict[str, datetime] = {}
        self._reading: asyncio.Task[None] | None = None
        self._begun_s = float("-inf")
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def problem(self) -> str:
        """Why keys cannot be read at the moment, empty while they can."""
        return self._problem

    @property
    def is_known(self) -> bool:
        """Whether keys were read once: from then on known ones count."""
        return self._keys is not None

    async def start(self) -> None:
        """Begin to read the keys, and to write down their use."""
        self._tasks = [asyncio.create_task(self._refresh()), asyncio.create_task(self._note_uses())]

    async def stop(self) -> None:
        """End, and write down what is not written yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._write_uses(), 1.0)

    async def find(self, text: str) -> ApiKey | str:
        """Return the key with this text, or the reason why it opens nothing.

        Raises:
            Problem: 503: whether it counts cannot be known now.
        """
        key_id = id_of(text)
        if key_id is None:
            return "malformed"
        if self._keys is None or key_id not in self._keys:
            try:
                # Where ClickHouse hangs, the reading under way and the one after it would be waited for: 24 s.
                await asyncio.wait_for(self._look(), LOOK_S)
            except TimeoutError:
                raise _unreadable() from None
        if self._keys is None or (key_id not in self._keys and self._problem):
            raise _unreadable()
        known, now = self._keys.get(key_id), utc_now()
        reason = refusal(known, text, now=now)
        if reason is not None or known is None:
            return reason or "unknown"
        self._uses[key_id] = now
        return known

    async def _look(self) -> None:
        """Wait for a reading that began after this moment: a key may have been made just before it.

        All who wait share one, and two begin half a second apart, so that strangers cost little.
        """
        asked_s = time.monotonic()
        while self._begun_s < asked_s:
            if self._reading is None:
                await asyncio.sleep(max(0.0, self._begun_s + _SHORTEST_PAUSE_S - time.monotonic()))
            await self._read_shared()

    async def _read_shared(self) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        begun_s = time.monotonic()
        try:
            keys = await self._warehouse.try_ask(lambda client: ApiKeyStore(client, self._settings).all())
        except Exception as error:  # whatever it is, keys go on to be read, or none could be revoked any more
            if str(error) != self._problem:
                log.warning("keys_not_read", reason=str(error))
            self._problem = str(error) or type(error).__name__
        else:
            self._keys = {key.key_id: key for key in keys}
            self._problem = ""
        finally:
            self._begun_s = begun_s
            self._reading = None

    async def _refresh(self) -> None:
        while True:
            await self._read_shared()
            await asyncio.sleep(REFRESH_S if self._keys is not None else _SHORTEST_PAUSE_S)

    async def _note_uses(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_USES_S)
            await self._write_uses()

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._warehouse.try_ask(lambda client: ApiKeyStore(client, self._settings).note_uses(uses))
        except (UnavailableError, RefusedError, Problem):
            self._uses = {**uses, **self._uses}  # with the next ones


def _unreadable() -> Problem:
    return missing("clickhouse", "Keys cannot be read at the moment.")
