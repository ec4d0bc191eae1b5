"""Threads that follow a topic through outages and topics that are made anew; one of them keeps a replica up to date."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.client.records import read_record
from postloop.client.replica import Replica
from postloop.client.state_log import Fetched, Identity, LogReplacedError, StateLog
from postloop.settings import Settings

log = logging.getLogger("postloop.client")

_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0


class LogFollower(threading.Thread):
    """Reads a topic until told to stop; no failure ends it.

    Attributes:
        problem: Why nothing is heard at the moment, for a person; empty while all is well.
        heard_s: By time.monotonic(); every partition answered after it. None: not yet.
    """

    def __init__(self, settings: Settings, topic: str, *, name: str) -> None:
        # A daemon: a program that forgot to close what it opened must be able to end.
        super().__init__(name=name, daemon=True)
        self._settings = settings
        self._topic = topic
        self._stopping = threading.Event()
        self._identity: Identity | None = None
        self._positions: dict[int, int] = {}
        self.problem = ""
        self.heard_s: float | None = None

    def stop(self, *, timeout_s: float) -> None:
        """End, and wait for that; a connection that is just being made is given up a little later."""
        self._stopping.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout_s)

    def run(self) -> None:
        """Follow the topic; after every failure again, and from the beginning only when that is needed."""
        pause_s = _PAUSE_S
        while not self._stopping.is_set():
            heard_s = self.heard_s
            try:
                self._follow()
            except LogReplacedError as error:
                self._positions = {}
                self._fails(str(error))
            except (UnavailableError, RefusedError) as error:
                self._fails(str(error))
            except Exception as error:  # a fault of ours, after which what was read is not to be trusted
                self._positions = {}
                self._fails(f"{type(error).__name__}: {error}")
                log.exception("blocklist_follower_failed")
            pause_s = _PAUSE_S if self.heard_s != heard_s else min(pause_s * 2, _LONGEST_PAUSE_S)
            self._stopping.wait(pause_s)

    def begin(self, state_log: StateLog, *, is_first: bool) -> None:
        """Start to read a topic of which nothing is known, or whose former self is worth nothing."""
        state_log.start(None)

    def take(self, fetched: Fetched) -> None:
        """Make use of what one poll brought."""
        raise NotImplementedError

    def _fails(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("blocklist_waits topic=%s reason=%s", self._topic, problem)
        self.problem = problem

    def _follow(self) -> None:
        with StateLog(self._settings, self._topic) as state_log:
            if state_log.identity == self._identity and self._positions:
                state_log.start(self._positions)
            else:
                self.begin(state_log, is_first=self._identity is None)
                self._identity = state_log.identity
            while not self._stopping.is_set():
                fetched = state_log.poll()
                self.take(fetched)
                self._positions = dict(state_log.positions)
                if fetched.heard_since_s is not None:
                    self.problem = ""
                    self.heard_s = fetched.heard_since_s


class Follower(LogFollower):
    """Reads the state of the blocklist into a replica.

    Args:
        clock: The wall clock, in seconds since 1970.
    """

    def __init__(
        self, settings: Settings, topic: str, replica: Replica, *, clock: Callable[[], float]
    ) -> None:
        super().__init__(settings, topic, name="postloop-blocklist")
        self._replica = replica
        self._clock = clock

    def begin(self, state_log: StateLog, *, is_first: bool) -> None:
        """Read from the beginning into an empty list; the former one answers meanwhile."""
        self._replica.start_over()
        state_log.start(None)

    def take(self, fetched: Fetched) -> None:
        """Take changes into the replica, and tell it that it was heard of."""
        if fetched.records:
            changes = (read_record(key, value) for key, value in fetched.records)
            self._replica.take(changes, now_s=time.monotonic())
        if fetched.heard_since_s is not None:
            self._replica.answered(
                since_s=fetched.heard_since_s,
                is_whole=fetched.is_whole,
                now_s=time.monotonic(),
                now_ms=int(self._clock() * 1000),
            )
