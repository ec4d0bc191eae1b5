"""Which requests are under way, and admission of statements to the engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.errors import QueryError

_LOOK_AGAIN_S = 0.005


class Ticket:
    """One request from its first byte to its last."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.query_id = ""
        # Set when the request has been handed to the engine, or will never be.
        self.settled = asyncio.Event()
        # The engine is done with it; its answer may still be on the way.
        self.is_done = False


class Running:
    """Every request under way.

    A client that takes over from another ends the other's inserts with KILL QUERY and then looks at what is
    stored. An insert that this server has received, but not yet handed to the engine, would escape it. So a
    KILL first waits until every request that came before it can be seen by the engine, or is over.
    """

    def __init__(self) -> None:
        self._next = 0
        self._tickets: set[Ticket] = set()

    def __len__(self) -> int:
        return len(self._tickets)

    def arrive(self) -> Ticket:
        """Take down a new request."""
        ticket = Ticket(self._next)
        self._next += 1
        self._tickets.add(ticket)
        return ticket

    def name(self, ticket: Ticket, query_id: str) -> None:
        """Give a request its query id.

        Raises:
            QueryError: a query with that id is running.
        """
        if any(other.query_id == query_id for other in self._tickets):
            raise QueryError(errors.ALREADY_RUNNING, f"Query with id = {query_id} is already running.")
        ticket.query_id = query_id

    def leave(self, ticket: Ticket) -> None:
        """Strike out a request that is over."""
        ticket.is_done = True
        ticket.settled.set()
        self._tickets.discard(ticket)

    async def settle_before(
        self, ticket: Ticket, visible_ids: Callable[[], Awaitable[frozenset[str]]], *, limit_s: float
    ) -> None:
        """Wait until the engine knows of every request that came before this one, at most limit_s seconds.

        Raises:
            QueryError: an earlier request is still on its way in after that time.
        """
        earlier = [other for other in self._tickets if other.number < ticket.number]
        try:
            async with asyncio.timeout(limit_s):
                for other in earlier:
                    await other.settled.wait()
                while missing := {other.query_id for other in earlier if not other.is_done}:
                    if missing <= await visible_ids():
                        return
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError as error:
            raise QueryError(
                errors.TIMEOUT_EXCEEDED,
                f"Requests that came before this KILL were not under way after {limit_s:g} s.",
            ) from error


class Places:
    """How many statements run at once: readers and writers may not take each other's last places."""

    def __init__(self, total: int, *, reserved: int, wait_s: float) -> None:
        self._total = total
        self._wait_s = wait_s
        self._all = asyncio.Semaphore(total)
        self._readers = asyncio.Semaphore(total - reserved)
        self._writers = asyncio.Semaphore(total - reserved)

    @asynccontextmanager
    async def taken(self, *, writes: bool) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            QueryError: none was free in time.
        """
        side = self._writers if writes else self._readers
        try:
            async with asyncio.timeout(self._wait_s):
                await side.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    side.release()
                    raise
        except TimeoutError as error:
            text = (
                f"Too many simultaneous queries: {self._total} at once, none ended within {self._wait_s:g} s."
            )
            raise QueryError(errors.TOO_MANY_QUERIES, text) from error
        try:
            yield
        finally:
            self._all.release()
            side.release()
