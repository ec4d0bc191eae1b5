"""`python -m postloop.api`: one process of the API, until a signal."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Final

import uvicorn

from postloop.adapters.garbage_collector import tune_garbage_collector
from postloop.adapters.health_server import listening_socket
from postloop.adapters.telemetry import configure, get_logger
from postloop.api.application import create_app
from postloop.domain.errors import PostloopError
from postloop.settings import load_settings

EXIT_USAGE: Final = 2
# Requests under way get this long when the process is told to stop. Seconds.
_SHUTDOWN_S: Final = 5
_KEEP_ALIVE_S: Final = 65


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m postloop.api")
    parser.add_argument("--host", default=None)
    parser.add_argument("--port", type=int, default=None)
    parser.add_argument("--stack", default="", help="Where `postloop up` tells how the whole is.")
    said = parser.parse_args(arguments)
    try:
        settings = load_settings()
        configure(settings)
        app = create_app(settings, stack_url=said.stack)
        host = said.host or settings.api_host
        port = settings.api_port if said.port is None else said.port
        taken = listening_socket(host=host, port=port, setting="POSTLOOP_API_PORT")
    except PostloopError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    # The server gives a signal on once it has ended: who is told to stop has not failed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    get_logger("postloop.api").info("api_starting", host=host, port=taken.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        loop="asyncio",
        http="httptools",
        ws="none",
        lifespan="on",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    tune_garbage_collector()
    uvicorn.Server(config).run(sockets=[taken])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
