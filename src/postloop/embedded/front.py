"""What the supervisor tells over HTTP: `/health`, `/ready` and `/metrics` of all processes together.

The API passes it on: people and probes ask there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from postloop.adapters.health_server import HealthState, WebServer, metrics_response


class Front:
    """Serves what the stack knows of itself.

    Args:
        about: Fields that /health tells beside the components: memory, addresses, notes.
        metrics: Returns the page of metrics.
    """

    def __init__(
        self,
        state: HealthState,
        *,
        host: str,
        port: int,
        about: Callable[[], dict[str, Any]],
        metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        self._state = state
        self._about = about
        self._metrics_page = metrics
        application = web.Application()
        application.router.add_get("/", self._health)
        application.router.add_get("/health", self._health)
        application.router.add_get("/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        self.server = WebServer(application, host=host, port=port, setting="the port of the supervisor")

    async def _health(self, _: web.Request) -> web.Response:
        return self._answer(ok=self._state.is_live)

    async def _ready(self, _: web.Request) -> web.Response:
        return self._answer(ok=self._state.is_ready)

    async def _metrics(self, _: web.Request) -> web.Response:
        return metrics_response(await self._metrics_page())

    def _answer(self, *, ok: bool) -> web.Response:
        return web.json_response({**self._state.as_json(), **self._about()}, status=200 if ok else 503)
