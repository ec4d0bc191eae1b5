"""Counts and times requests by route, and forbids browsers to guess or keep what is answered."""

from __future__ import annotations

import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postloop.adapters.metrics import ApiMetrics

_NO_ROUTE: Final = "none"


class Observing:
    """Tells the metrics about every request."""

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and count it when it ends, however it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            # Not the path: a scanner would make a time series of every address that it tries.
            route = getattr(scope.get("route"), "path_format", _NO_ROUTE)
            self._metrics.api_requests_total.labels(
                route=route, method=scope["method"] if route != _NO_ROUTE else "", status=str(status)
            ).inc()
            self._metrics.api_request_seconds.labels(route=route).observe(time.perf_counter() - begun_s)
