"""Loopback ports that a test may bind."""

import random
import socket

# Below Linux' ephemeral range (32768-60999). A client that keeps connecting to a stopped broker whose
# port lies inside that range can be given the very same port as its own end: it then talks to itself,
# and the broker cannot bind again.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_TRIES = 200
_random = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens on at 127.0.0.1 now.

    Raises:
        RuntimeError: no free port after 200 tries.
    """
    for _ in range(_TRIES):
        port = _random.randint(_FIRST_PORT, _LAST_PORT)
        if _can_bind(port):
            return port
    raise RuntimeError(f"no free port between {_FIRST_PORT} and {_LAST_PORT} after {_TRIES} tries")


def free_ports(count: int) -> list[int]:
    """Return `count` different free ports."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def is_listening(port: int, *, timeout_s: float = 0.5) -> bool:
    """Return whether something accepts connections at 127.0.0.1:port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
