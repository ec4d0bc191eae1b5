"""What the server is told at its start."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


class WrongUsageError(Exception):
    """The server cannot start as it was told to; the message is one sentence for a person."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Every limit of the server. Times in seconds, sizes in bytes."""

    path: Path
    host: str = "127.0.0.1"
    port: int = 8123
    user: str | None = None
    password: str = ""
    max_queries: int = 8
    # A reader must find a place while inserts run, and the other way round.
    reserved_queries: int = 2
    queue_timeout_s: float = 10.0
    body_timeout_s: float = 5.0
    # A client that reads nothing of its result for so long loses it: it holds a place others wait for.
    send_timeout_s: float = 60.0
    stop_timeout_s: float = 3.5
    max_body_bytes: int = 256 * MIB
    max_memory_bytes: int = 2048 * MIB
    json_log: bool = False


def default_memory_bytes() -> int:
    """Return half of the machine's memory, at most 4 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total // 2, 4096 * MIB)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_config(config: ServerConfig) -> None:
    """Refuse what cannot work.

    Raises:
        WrongUsageError: with the value and the limit.
    """
    if not _is_loopback(config.host):
        raise WrongUsageError(
            f"--host {config.host} is not a loopback address: the embedded ClickHouse serves one machine. "
            "For several machines run a ClickHouse server."
        )
    if not 0 <= config.port <= 65535:
        raise WrongUsageError(f"--port {config.port} is not between 0 and 65535.")
    if set("?&#%\n") & set(str(config.path)):
        raise WrongUsageError(
            f"--path {config.path} contains one of ? & # %, which the engine takes for options."
        )
    if config.max_queries <= config.reserved_queries:
        raise WrongUsageError(
            f"--max-queries {config.max_queries} is too low: it starts at {config.reserved_queries + 1}."
        )
    if config.max_memory_bytes < 256 * MIB:
        raise WrongUsageError(
            f"--max-memory-mb {config.max_memory_bytes // MIB} is too low: it starts at 256."
        )
