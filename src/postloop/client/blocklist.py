"""`Blocklist` and `AsyncBlocklist`: may this sender domain mail this recipient? Answered from memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, Unpack

from postloop.client.answers import Answers, OnStale
from postloop.client.connection import KafkaSecurity, given_settings, security_of
from postloop.client.follower import Follower
from postloop.client.replica import Replica
from postloop.domain.event_types import BLOCKLIST_STATE_TOPIC, prefixed
from postloop.settings import Settings

MAX_STALENESS_S: Final = 60.0
_LOOK_S: Final = 0.02
_CLOSE_S: Final = 3.0


class _Following(Answers):
    """Answers of a replica that a thread keeps up to date."""

    def __init__(
        self,
        *,
        bootstrap_servers: str | Sequence[str],
        topic: str = BLOCKLIST_STATE_TOPIC,
        hash_key: bytes | None = None,
        max_staleness_s: float = MAX_STALENESS_S,
        on_stale: OnStale = "raise",
        clock: Callable[[], float] = time.time,
        **security: Unpack[KafkaSecurity],
    ) -> None:
        """Begin to follow the topic, in a thread of its own.

        Args:
            bootstrap_servers: HOST:PORT of one or more brokers.
            topic: With its prefix, if there is one.
            hash_key: When the list holds hashed recipients: POSTLOOP_BLOCKLIST_HASH_KEY in UTF-8.
            max_staleness_s: How long nothing may be heard of the topic before `on_stale` decides.
            on_stale: `raise` Stale; `allow`: go on with the entries known last; `block` everybody.
            clock: The wall clock, in seconds since 1970; ends of entries are compared with it.
            security: See KafkaSecurity.

        Raises:
            SettingsError: The options of the connection contradict each other.
            ValueError: An empty key, an unknown value of `on_stale`, or no time at all.
        """
        if hash_key is not None and not hash_key:
            raise ValueError("hash_key is empty; None means that there is none")
        brokers = bootstrap_servers if isinstance(bootstrap_servers, str) else ",".join(bootstrap_servers)
        replica = Replica(hash_key=hash_key)
        self._follower = Follower(given_settings(brokers, security), topic, replica, clock=clock)
        super().__init__(
            replica,
            max_staleness_s=max_staleness_s,
            on_stale=on_stale,
            clock=clock,
            steady=time.monotonic,
            outage=lambda: self._follower.problem,
        )
        self._follower.start()

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        max_staleness_s: float = MAX_STALENESS_S,
        on_stale: OnStale = "raise",
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Begin to follow the topic with the brokers, the topic prefix and the hash key of Postloop's settings.

        Raises:
            ValueError: An unknown value of `on_stale`, or no time at all.
        """
        key = settings.blocklist_hash_key.get_secret_value().encode()
        return cls(
            bootstrap_servers=settings.broker_list,
            topic=prefixed(BLOCKLIST_STATE_TOPIC, prefix=settings.topic_prefix),
            hash_key=key or None,
            max_staleness_s=max_staleness_s,
            on_stale=on_stale,
            clock=clock,
            **security_of(settings),
        )

    def _close(self) -> None:
        self._is_closed = True
        self._follower.stop(timeout_s=_CLOSE_S)


class Blocklist(_Following):
    """The blocklist for a program with threads or without; any thread may ask.

    It follows the topic from the moment it is made. Use it as a context manager, or call `close`. A process that
    forks makes it after the fork: a thread does not come along.
    """

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the list was read to its end once.

        Raises:
            NotReady: It was not in this time, and why; at once when waiting is useless, e.g. without the hash key.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._has_to_wait():
            if time.monotonic() >= deadline_s:
                raise self._not_ready()
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Stop following; every later question raises NotReady."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class AsyncBlocklist(_Following):
    """The same for asyncio: what answers from memory stays an ordinary method, what waits is a coroutine."""

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when the list was read to its end once.

        Raises:
            NotReady: It was not in this time, and why; at once when waiting is useless, e.g. without the hash key.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._has_to_wait():
            if time.monotonic() >= deadline_s:
                raise self._not_ready()
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Stop following; every later question raises NotReady."""
        await asyncio.to_thread(self._close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
