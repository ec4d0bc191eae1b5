"""Which ports a stack listens on: the one that was asked for, the usual one, or a free one."""

from __future__ import annotations

import random
import socket
from typing import Final

from postloop.adapters.health_server import PortTakenError

# Below Linux' ephemeral range: a client that keeps trying a stopped broker on a port inside that range can be
# given the very same port as its own end, talks to itself, and the broker cannot bind again.
_FIRST_FREE: Final = 20_000
_LAST_FREE: Final = 32_000
_TRIES: Final = 200
_random = random.SystemRandom()


class PortChoice:
    """Chooses ports that nobody listens on and that differ from each other."""

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        self._host = host
        self._chosen: set[int] = set()

    def choose(self, name: str, *, asked: int | None, usual: int) -> int:
        """Return the port for a part of the stack.

        Args:
            name: What it is for, as the message says it.
            asked: The port a person asked for; None for "the usual one or another"; 0 for any free one.

        Raises:
            PortTakenError: The port that was asked for is taken.
        """
        if asked:
            if asked in self._chosen:
                raise PortTakenError(
                    f"port {asked} is asked for twice, also for {name}: each part needs its own"
                )
            if not self._is_free(asked):
                raise PortTakenError(f"port {asked} ({name}) is taken: {_listener(self._host, asked)}")
            return self._keep(asked)
        if asked is None and self._is_free(usual):
            return self._keep(usual)
        return self.any_free()

    def any_free(self) -> int:
        """Return some port that nobody listens on."""
        for _ in range(_TRIES):
            port = _random.randint(_FIRST_FREE, _LAST_FREE)
            if self._is_free(port):
                return self._keep(port)
        raise PortTakenError(f"no free port between {_FIRST_FREE} and {_LAST_FREE} on {self._host}")

    def _keep(self, port: int) -> int:
        self._chosen.add(port)
        return port

    def _is_free(self, port: int) -> bool:
        return port not in self._chosen and can_bind(self._host, port)


def can_bind(host: str, port: int) -> bool:
    """Return whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are only winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def is_listening(host: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Return whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _listener(host: str, port: int) -> str:
    if port < 1024:
        return "ports below 1024 need root; choose a higher one"
    if is_listening(host, port):
        return "another process listens there; choose another port, or leave the option out for a free one"
    return "it cannot be bound on this machine; choose another port, or leave the option out for a free one"
