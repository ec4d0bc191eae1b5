"""What all requests of one process share, and its life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from postloop.adapters.metrics import ApiMetrics
from postloop.api.key_ring import KeyRing
from postloop.api.warehouse import Warehouse
from postloop.settings import Settings


@dataclass(frozen=True)
class Api:
    """The parts that requests work with; a route takes it as `api: Shared`."""

    settings: Settings
    metrics: ApiMetrics
    warehouse: Warehouse
    keys: KeyRing


def make_api(settings: Settings) -> Api:
    """Return the parts, not yet at work; importing or making them starts nothing."""
    warehouse = Warehouse(settings)
    return Api(
        settings=settings, metrics=ApiMetrics(), warehouse=warehouse, keys=KeyRing(warehouse, settings)
    )


@asynccontextmanager
async def working(api: Api) -> AsyncIterator[None]:
    """Keep the parts at work; none of them must be reachable for that."""
    await api.keys.start()
    try:
        yield
    finally:
        await api.keys.stop()
        api.warehouse.close()


async def _shared(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


Shared = Annotated[Api, Depends(_shared)]
"""The parameter of a route that needs a part: `api: Shared`."""
