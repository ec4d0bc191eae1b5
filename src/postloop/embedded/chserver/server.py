"""Life of the server: port, engine, requests, stop."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from postloop.embedded.chserver.configuration import ServerConfig, WrongUsageError, check_config
from postloop.embedded.chserver.engine import Engine
from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.metrics import ServerMetrics
from postloop.embedded.chserver.service import Service

# Statements in a URL are long; ClickHouse takes 1 MiB (http_max_uri_size).
_MAX_URL_BYTES = 1024 * 1024
_MAX_HEADER_BYTES = 128 * 1024
_BACKLOG = 128
_CANCEL_S = 0.5
_log = structlog.get_logger("postloop.clickhouse")


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet: clients are refused until the engine answers.

    Raises:
        WrongUsageError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise WrongUsageError(
            f"Port {port} on {host} is taken ({error.strerror}): give another --port."
        ) from error
    return bound


def create_app(service: Service, metrics: ServerMetrics, *, max_body_bytes: int) -> web.Application:
    """Return the routes of the server."""

    async def ping(request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n", headers={"X-ClickHouse-Summary": "{}"})

    async def ready(request: web.Request) -> web.Response:
        try:
            await service.check_ready()
        except QueryError as error:
            return web.Response(status=503, text=f"{error.text}\n")
        return web.Response(text="Ok.\n")

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def root(request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and "query" not in request.query:
            return await ping(request)
        return await service.handle(request)

    app = web.Application(client_max_size=max_body_bytes)
    app.router.add_get("/ping", ping)
    app.router.add_get("/ready", ready)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/", root)
    app.router.add_post("/", root)
    return app


async def _listen(app: web.Application, bound: socket.socket) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        lingering_time=1.0,
        max_line_size=_MAX_URL_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
    )
    await runner.setup()
    await web.SockSite(runner, bound, backlog=_BACKLOG).start()
    return runner


async def _drain(service: Service, *, within_s: float) -> None:
    """Let running statements end; what still runs at the end of the time is cancelled."""
    deadline_s = asyncio.get_running_loop().time() + within_s
    while len(service.running) and asyncio.get_running_loop().time() < deadline_s:
        await asyncio.sleep(0.02)
    if len(service.running):
        _log.warning("queries_cancelled", count=len(service.running))
        with contextlib.suppress(TimeoutError, QueryError):
            await asyncio.wait_for(service.cancel_all(), _CANCEL_S)


async def serve(config: ServerConfig, *, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT or `stop`.

    Raises:
        WrongUsageError: taken port, data directory in use, impossible options.
    """
    check_config(config)
    stop = stop or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bound = listening_socket(config.host, config.port)
    engine = Engine(config.path.resolve(), max_memory_bytes=config.max_memory_bytes)
    metrics = ServerMetrics()
    service = Service(config, engine, metrics)
    await service.start()
    await _listen(create_app(service, metrics, max_body_bytes=config.max_body_bytes), bound)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    _log.info("ready", clickhouse=f"http://{shown}:{port}", version=engine.version, path=str(config.path))
    await stop.wait()
    _log.info("stopping", running=len(service.running))
    service.is_stopping = True
    await _drain(service, within_s=config.stop_timeout_s)
    _log.info("stopped")


def run_server(config: ServerConfig) -> int:
    """Serve until told to stop. Ends the process then: closing the engine under open results can hang.

    Returns only when the server could not start, with exit code 2 and one sentence on standard error.
    """
    try:
        asyncio.run(serve(config))
    except WrongUsageError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        return 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
