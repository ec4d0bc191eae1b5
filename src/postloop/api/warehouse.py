"""ClickHouse for a loop: questions are asked in a few threads, with a limit on time, rows and memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import URGENT, connect
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.api.problems import missing, raise_unavailable
from postloop.settings import Settings

Answer = TypeVar("Answer")

_THREADS: Final = 6
# Who would wait behind more questions than this is told so at once.
_MAX_WAITING: Final = 60
_TIMEOUT_S: Final = 10.0
# The answer of the server comes before the client hangs up, and the client hangs up before we stop to wait.
_CLIENT_TIMEOUT_S: Final = _TIMEOUT_S + 2
_WAIT_S: Final = _TIMEOUT_S + 5
LIMITS: Final = {
    **URGENT,
    "max_execution_time": int(_TIMEOUT_S),
    "max_result_rows": 100_000,
    "max_result_bytes": 50_000_000,
    "result_overflow_mode": "throw",
    "max_memory_usage": 2_000_000_000,
}


class Warehouse:
    """Asks ClickHouse without blocking the loop.

    A question is a function of a client that blocks, as the readers of `postloop.adapters` are:
    `await warehouse.ask(lambda client: BlocklistReader(client, settings).entry(None, recipient))`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="clickhouse")
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._waiting = 0

    async def ask(self, question: Callable[[Client], Answer]) -> Answer:
        """Return the answer to a question.

        Raises:
            Problem: 503: ClickHouse is away, refuses, or too many wait for it.
        """
        try:
            return await self.try_ask(question)
        except (UnavailableError, RefusedError) as error:
            raise_unavailable("clickhouse", error, "ClickHouse cannot be asked at the moment.")

    async def try_ask(self, question: Callable[[Client], Answer]) -> Answer:
        """Return the answer to a question that no request asks.

        Raises:
            UnavailableError, RefusedError: As the adapters tell it.
            Problem: 503: too many wait.
        """
        if self._waiting >= _MAX_WAITING:
            raise missing("clickhouse", "Too many questions wait for ClickHouse; ask again in a second.")
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._asked, question)
        work.add_done_callback(self._end)
        try:
            return await asyncio.wait_for(asyncio.shield(work), _WAIT_S)
        except TimeoutError:
            raise UnavailableError("ClickHouse does not answer in time") from None

    def close(self) -> None:
        """Take no more questions; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _end(self, work: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not work.cancelled():
            work.exception()  # seen, also where everybody who asked has given up

    def _asked(self, question: Callable[[Client], Answer]) -> Answer:
        return question(self._connected())

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = connect(self._settings, timeout_s=_CLIENT_TIMEOUT_S, **LIMITS)
            return self._client
