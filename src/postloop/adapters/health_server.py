"""`/health`, `/ready` and `/metrics` of one process, and the state behind them.

Live means that work goes on, not only that the process answers: a loop that hangs stops calling `beat`, and
an orchestrator restarts what is no longer live. Ready means that every named component is in order.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from postloop.adapters.clock import utc_now
from postloop.settings import SettingsError

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SHUTDOWN_S: Final = 1.0


class PortTakenError(SettingsError):
    """A port that was asked for belongs to another process, or cannot be had on this machine."""


@dataclass(frozen=True)
class Component:
    """Whether one part is in order, why not, and since when."""

    ok: bool
    reason: str
    since: datetime

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "reason": self.reason, "since": self.since.isoformat(timespec="milliseconds")}


class HealthState:
    """What a worker knows of itself. Updated from one thread, read by the server in the same loop.

    Args:
        components: Parts that must all be in order before the process is ready; each starts as "starting".
        stuck_after_s: Without a `beat` for this long the process counts as stuck. Seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        components: Iterable[str] = (),
        *,
        stuck_after_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._stuck_after_s = stuck_after_s
        self._beat_s = clock()
        self._components = {
            name: Component(ok=False, reason="starting", since=utc_now()) for name in components
        }

    def set(self, component: str, ok: bool, reason: str = "") -> None:
        """Say how a component is. `since` moves only when `ok` changes."""
        before = self._components.get(component)
        since = before.since if before is not None and before.ok == ok else utc_now()
        self._components[component] = Component(ok=ok, reason="" if ok else reason, since=since)

    def beat(self) -> None:
        """Say that the main loop went round: there was work done, or none to do."""
        self._beat_s = self._clock()

    @property
    def silence_s(self) -> float:
        """Seconds since the last `beat`."""
        return self._clock() - self._beat_s

    @property
    def is_live(self) -> bool:
        return self.silence_s <= self._stuck_after_s

    @property
    def is_ready(self) -> bool:
        return self.is_live and bool(self._components) and all(c.ok for c in self._components.values())

    @property
    def components(self) -> dict[str, Component]:
        return dict(self._components)

    def as_json(self) -> dict[str, Any]:
        """Return the document that /health and /ready answer with."""
        status = "ready" if self.is_ready else "live" if self.is_live else "stuck"
        parts = {name: component.as_json() for name, component in self._components.items()}
        return {"status": status, "last_progress_s": round(self.silence_s, 3), "components": parts}


class HealthServer:
    """Serves a HealthState and a metrics registry over HTTP.

    Args:
        port: 0 takes any free port; `port` tells which.

    Raises:
        PortTakenError: Another process has the port.
    """

    def __init__(self, state: HealthState, host: str, port: int, registry: CollectorRegistry) -> None:
        self._state = state
        self._registry = registry
        self._server = WebServer(self._application(), host=host, port=port, setting="POSTLOOP_HEALTH_PORT")

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        """Start to answer."""
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/health", self._health)
        application.router.add_get("/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        return application

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response(self._state.as_json(), status=200 if self._state.is_live else 503)

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response(self._state.as_json(), status=200 if self._state.is_ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return metrics_response(generate_latest(self._registry))


class WebServer:
    """An aiohttp application on one port. The port is taken at once, so that a process fails before it works.

    Args:
        setting: What a person changes to get another port.

    Raises:
        PortTakenError: Another process has the port, or the address is not one of this machine.
    """

    def __init__(self, application: web.Application, *, host: str, port: int, setting: str) -> None:
        self._application = application
        self._runner: web.AppRunner | None = None
        self._one_at_a_time = asyncio.Lock()
        self._socket = listening_socket(host=host, port=port, setting=setting)
        self._port = int(self._socket.getsockname()[1])

    @property
    def port(self) -> int:
        """The port, also where any free one was asked for."""
        return self._port

    async def start(self) -> None:
        """Start to answer; nothing happens when it was stopped before: a process may be told to while it starts."""
        async with self._one_at_a_time:
            if self._socket.fileno() < 0:
                return
            self._runner = web.AppRunner(self._application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
            await self._runner.setup()
            await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Stop answering and free the port; requests under way get a second to end."""
        async with self._one_at_a_time:
            if self._runner is not None:
                await self._runner.cleanup()
                self._runner = None
            self._socket.close()


def listening_socket(*, host: str, port: int, setting: str) -> socket.socket:
    """Return a socket that listens; port 0 takes any free one.

    Args:
        setting: What a person changes to get another port.

    Raises:
        PortTakenError: Another process has the port, or the address is not one of this machine.
    """
    try:
        return _bound(host, port)
    except OSError as error:
        raise PortTakenError(_why_not(error, host=host, port=port, setting=setting)) from error


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Listening at once: until then a second process could take the same port.
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    return bound


def _why_not(error: OSError, *, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: set {setting} to a free one"
    return f"cannot listen on {host}:{port} ({setting}): {error.strerror or error}"


def metrics_response(body: bytes) -> web.Response:
    """Return a page in Prometheus' text format."""
    return web.Response(body=body, headers={"Content-Type": METRICS_CONTENT_TYPE})
