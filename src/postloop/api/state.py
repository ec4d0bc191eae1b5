"""What all requests of one process share, and its life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from postloop.adapters.metrics import ApiMetrics
from postloop.adapters.reputation_policy import reputation_policy
from postloop.api.commands import CommandDesk
from postloop.api.health import Health
from postloop.api.key_ring import KeyRing
from postloop.api.memory import BlocklistMemory
from postloop.api.neighbours import Neighbours
from postloop.api.publishing import Publisher
from postloop.api.recent import Recent
from postloop.api.warehouse import Warehouse
from postloop.domain.reputation import ReputationPolicy
from postloop.settings import Settings

# Its windows end at whole minutes and its series at whole hours: nobody sees the difference.
_KEEP_DOMAINS_S: Final = 5.0


@dataclass(frozen=True)
class Api:
    """The parts that requests work with; a route takes it as `api: Shared`."""

    settings: Settings
    policy: ReputationPolicy
    metrics: ApiMetrics
    warehouse: Warehouse
    keys: KeyRing
    publisher: Publisher
    commands: CommandDesk
    memory: BlocklistMemory
    neighbours: Neighbours
    health: Health
    domains: Recent[bytes]


def make_api(settings: Settings, *, stack_url: str = "") -> Api:
    """Return the parts, not yet at work; making them starts nothing.

    Args:
        stack_url: Where the supervisor of `postloop up` tells how the whole is.

    Raises:
        SettingsError: They name no policy of reputation.
    """
    warehouse, neighbours = Warehouse(settings), Neighbours()
    keys, publisher = KeyRing(warehouse, settings), Publisher(settings)
    commands, memory = CommandDesk(settings, publisher), BlocklistMemory(settings)
    health = Health(
        keys=keys,
        publisher=publisher,
        commands=commands,
        memory=memory,
        neighbours=neighbours,
        watched=settings.api_watched,
        stack_url=stack_url,
    )
    return Api(
        settings=settings,
        policy=reputation_policy(settings),
        metrics=ApiMetrics(),
        warehouse=warehouse,
        keys=keys,
        publisher=publisher,
        commands=commands,
        memory=memory,
        neighbours=neighbours,
        health=health,
        domains=Recent(keep_s=_KEEP_DOMAINS_S),
    )


@asynccontextmanager
async def working(api: Api) -> AsyncIterator[None]:
    """Keep the parts at work; nothing outside must be reachable for that."""
    parts = (api.neighbours, api.keys, api.publisher, api.commands, api.memory, api.health)
    try:
        for part in parts:
            await part.start()
        yield
    finally:
        # Side by side: each may have to wait for its thread.
        await asyncio.gather(*(part.stop() for part in parts), return_exceptions=True)
        api.warehouse.close()


async def _shared(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


Shared = Annotated[Api, Depends(_shared)]
"""The parameter of a route that needs a part: `api: Shared`."""
