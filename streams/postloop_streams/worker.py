"""One worker: reads the settings, puts the role together and runs it until a signal."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import pkgutil
import signal
import sys
from collections.abc import Callable
from typing import Final

import faust
import pyarrow as pa

from postloop.adapters.garbage_collector import tune_garbage_collector
from postloop.adapters.telemetry import configure, get_logger
from postloop.domain.errors import PostloopError
from postloop.domain.roles import BLOCKLIST, RECORDER, REPUTATION, WEBHOOKS
from postloop.settings import Settings, SettingsError, load_settings
from postloop_streams.role import Role
from postloop_streams.without_pandas import refuse_pandas

# By name: a worker imports its own role alone. Importing all four takes up to 0.9 s of processor time more.
ROLES: Final = {
    RECORDER: "postloop_streams.recorder.app:RecorderApp",
    BLOCKLIST: "postloop_streams.blocklist.app:BlocklistApp",
    REPUTATION: "postloop_streams.reputation.app:ReputationApp",
    WEBHOOKS: "postloop_streams.webhooks.app:WebhooksApp",
}
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
# <malloc.h>
_M_ARENA_MAX: Final = -8


def main(arguments: list[str]) -> int:
    """Run one role; return the exit code."""
    refuse_pandas()
    if len(arguments) != 1 or arguments[0] not in ROLES:
        print(f"error: name one role: {', '.join(ROLES)}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    # Before the log is set up: libraries set up their loggers when they are imported.
    make: Callable[[Settings], Role] = pkgutil.resolve_name(ROLES[arguments[0]])
    try:
        settings = load_settings()
        configure(settings)
        quieten_faust(settings)
        role = make(settings)
        problems = role.check()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_USAGE
    except PostloopError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_UNREACHABLE
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201
    if problems:
        return EXIT_UNREACHABLE
    tune_garbage_collector()
    tune_allocators()
    # Faust listens for signals once its loop runs: who is told to stop before that ends as well as later.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    get_logger("postloop").info("worker_starting", role=arguments[0], brokers=settings.kafka_brokers)
    worker = faust.Worker(role.app, loglevel=settings.log_level, quiet=True, override_logging=False)
    # It writes terminal codes between the log lines.
    worker.spinner = None
    # It goes by the name of its command; Faust's would be another one.
    worker._setproctitle = lambda *_, **__: None
    worker.execute_from_commandline()
    return 0


def quieten_faust(settings: Settings) -> None:
    """Keep the comings and goings of Faust's forty services out of the log, unless somebody debugs them."""
    if settings.log_level != "debug":
        for name in ("faust", "mode", "postloop_streams.transport"):
            logging.getLogger(name).setLevel(logging.WARNING)


def tune_allocators() -> None:
    """Give memory back after a burst, so that a worker stays as large as its work.

    Arrow's own pool and glibc's arenas (one per thread and core) keep what they once had: a worker that caught up
    after an outage stayed 70 MB larger.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
