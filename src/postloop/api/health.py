"""How the process is, part by part, looked at once a second; and how the whole is of which it is a part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from postloop.adapters.health_server import HealthState
from postloop.api.commands import CommandDesk
from postloop.api.key_ring import KeyRing
from postloop.api.memory import BlocklistMemory
from postloop.api.neighbours import Neighbours
from postloop.api.publishing import Publisher

CLICKHOUSE: Final = "clickhouse"
KAFKA: Final = "kafka"
BLOCKLIST: Final = "blocklist"
_LOOK_S: Final = 1.0
_WORKERS_EVERY: Final = 5
# Every partition of the topic of replies answers twice a second while the brokers are there.
_SILENCE_S: Final = 8.0


class Seen(NamedTuple):
    """An answer about health: `document` is what /health and /ready show."""

    is_live: bool
    is_ready: bool
    document: dict[str, Any]


class Health:
    """Watches the parts of one process.

    Args:
        watched: Workers whose health is shown too: name -> address of the worker.
        stack_url: Where the supervisor of `postloop up` tells how the whole is; empty: there is none.
    """

    def __init__(
        self,
        *,
        keys: KeyRing,
        publisher: Publisher,
        commands: CommandDesk,
        memory: BlocklistMemory,
        neighbours: Neighbours,
        watched: Mapping[str, str],
        stack_url: str,
    ) -> None:
        self._keys = keys
        self._publisher = publisher
        self._commands = commands
        self._memory = memory
        self._neighbours = neighbours
        self._watched = {name: f"{url.rstrip('/')}/ready" for name, url in watched.items()}
        self._stack_url = stack_url
        self._state = HealthState([CLICKHOUSE, KAFKA, BLOCKLIST], stuck_after_s=30.0)
        self._workers: dict[str, dict[str, Any]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def own(self) -> Seen:
        """Return how this process is."""
        document = self._state.as_json()
        document["missing"] = _missing(document)
        if self._watched:
            document["workers"] = self._workers
        return Seen(self._state.is_live, self._state.is_ready, document)

    async def whole(self) -> Seen:
        """Return how the stack is of which this process is a part, or this process where there is none."""
        if not self._stack_url:
            return self.own()
        health, ready = await asyncio.gather(
            self._neighbours.page(f"{self._stack_url}/health"),
            self._neighbours.page(f"{self._stack_url}/ready"),
        )
        try:
            document = from_json(health.body)
            document["missing"] = _missing(document)
        except (ValueError, TypeError, LookupError):  # nothing, or another program on its port
            parts = {"up": {"ok": False, "reason": "does not answer"}}
            document = {"status": "stuck", "components": parts, "missing": ["up"]}
        return Seen(health.status == 200, ready.status == 200, document)

    async def whole_metrics(self, own: bytes) -> bytes:
        """Return the metrics of the stack, this process among them, or its own where there is none."""
        if not self._stack_url:
            return own
        page = await self._neighbours.page(f"{self._stack_url}/metrics")
        return page.body if page.status == 200 else own

    async def _watch(self) -> None:
        rounds = 0
        while True:
            self._look()
            if self._watched and rounds % _WORKERS_EVERY == 0:
                self._workers = await self._neighbours.states(self._watched)
            rounds += 1
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> None:
        self._set(CLICKHOUSE, self._keys.problem)
        self._set(KAFKA, self._publisher.problem or self._commands.problem or self._silence())
        self._set(BLOCKLIST, self._memory.problem)
        self._state.beat()

    def _set(self, part: str, problem: str) -> None:
        self._state.set(part, not problem, problem)

    def _silence(self) -> str:
        heard_s = self._commands.heard_s
        if heard_s is None or time.monotonic() - heard_s > _SILENCE_S:
            return "nothing was heard of the brokers for some seconds"
        return ""


def _missing(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the parts that are not in order."""
    return [name for name, part in document["components"].items() if not part["ok"]]
