"""Logs: structlog for our events, the standard library's logging and warnings routed through the same lines.

An event of ours is a constant snake_case word; what varies is a field. Lines of libraries (Faust, aiokafka,
kafka-python) appear as `library_message` with their text. Neither ever shows a mail address or a secret.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

from postloop.adapters.library_logs import CHATTY
from postloop.settings import Settings

HIDDEN: Final = "[hidden]"
# What a field may be called that holds a person's address or a secret.
_PRIVATE = re.compile(r"recipient|password|secret|token|authorization|^(?:key|value|body|raw)(?:_base64)?$")
_PUBLIC: Final = frozenset({"recipient_domain", "recipient_valid"})
_ADDRESS = re.compile(r"[^\s@<>\"',;:=()\[\]]{1,64}@[^\s@<>\"',;:=()\[\]]{1,255}")


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (default stderr) in the configured format and level."""
    target = stream or sys.stderr
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_library_line, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings, target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    _quieten(debug=settings.log_level == "debug")
    logging.captureWarnings(True)


def get_logger(name: str, **fields: Any) -> structlog.stdlib.BoundLogger:
    """Return a logger whose lines carry `fields`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name, **fields)
    return logger


def hide_private(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace fields that hold an address or a secret, and addresses inside texts."""
    for name, value in event.items():
        if name not in _PUBLIC and _PRIVATE.search(name):
            event[name] = HIDDEN
        elif isinstance(value, str) and "@" in value:
            event[name] = _ADDRESS.sub(HIDDEN, value)
    return event


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        hide_private,
    ]


def _renderers(settings: Settings, target: TextIO) -> list[Processor]:
    if settings.log_format == "console" or (settings.log_format == "auto" and target.isatty()):
        return [structlog.dev.ConsoleRenderer(colors=target.isatty())]
    return [structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]


def _name_library_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a library's free text the shape of our events."""
    event["text"] = event["event"]
    event["event"] = "library_message"
    return event


def _quieten(*, debug: bool) -> None:
    for name, level in CHATTY.items():
        logging.getLogger(name).setLevel(logging.NOTSET if debug else level)
