"""Looking up the hosts of webhooks, so that one name whose servers hang delays nobody else's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from postloop.domain.webhook.addresses import read_address
from postloop.domain.webhook.target import Address

Lookup = Callable[[str], Awaitable[Sequence[Address]]]
"""All addresses of a name. Raises LookupFailedError."""

_THREADS: Final = 32
_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class LookupFailedError(Exception):
    """No addresses. `is_final`: the name does not exist, otherwise no name server gave an answer."""

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


class SystemLookup:
    """Asks the operating system, a name at a time in a thread of its own.

    Not in the loop's own threads: there are six of them on a small machine, and a name server that does not answer
    holds one for half a minute. Attempts that wait for the same name share one thread.
    """

    def __init__(self, threads: int = _THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webhook-lookup")
        self._under_way: dict[str, asyncio.Future[list[Address]]] = {}

    async def __call__(self, host: str) -> list[Address]:
        """Return the addresses of a name, in the system's order.

        Raises:
            LookupFailedError: See there.
        """
        answer = self._under_way.get(host)
        if answer is None:
            answer = asyncio.get_running_loop().run_in_executor(self._threads, _ask, host)
            self._under_way[host] = answer
            answer.add_done_callback(lambda done: self._end(host, done))
        return await asyncio.shield(answer)

    def close(self) -> None:
        """Take no more questions; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _end(self, host: str, answer: asyncio.Future[list[Address]]) -> None:
        del self._under_way[host]
        if not answer.cancelled():
            answer.exception()  # seen, also where everybody who asked has given up


def _ask(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise LookupFailedError("the host does not exist", is_final=True) from None
        raise LookupFailedError("the host could not be looked up", is_final=False) from None
    except UnicodeError:
        raise LookupFailedError("the host does not exist", is_final=True) from None
    return [read_address(str(answer[4][0])) for answer in found]
