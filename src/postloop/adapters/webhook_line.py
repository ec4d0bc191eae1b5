"""The line to one endpoint: its connections under one set of rules, and requests over them."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from postloop.adapters.webhook_connection import ForbiddenAddressError, Guard, Opener
from postloop.adapters.webhook_exchange import Answer, Connection, ConnectionLostError
from postloop.adapters.webhook_lookup import Lookup
from postloop.domain.webhook.addresses import Network, Verdict, judge_before_lookup
from postloop.domain.webhook.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from postloop.domain.webhook.target import Target

USER_AGENT: Final = "Postloop-Webhooks/1"
_is_field: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00\r\n]*").fullmatch
# Of the frame of a request; endpoints with such headers are refused long before.
_FRAMING: Final = {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an attempt may take.

    Attributes:
        deadline_s: From the call to the last byte of the answer: lookup, connection, TLS, headers and body.
        connect_s: Of it for one connection with its TLS handshake.
        lookup_s: Of it for the lookup of the host.
        answer_bytes: Kept of the answer's body; what comes after it is not read, and the connection is closed.
        idle_s: Connections are closed after so long without use.
        age_s: Connections that were opened longer ago are not used again.
        endpoint_count: Endpoints whose connections are kept; those used longest ago lose theirs.
    """

    deadline_s: float = 15.0
    connect_s: float = 5.0
    lookup_s: float = 5.0
    answer_bytes: int = 16_384
    idle_s: float = 30.0
    age_s: float = 300.0
    endpoint_count: int = 2_000


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where attempts of one endpoint go; make it once for each version of the endpoint.

    Attributes:
        headers: The customer's own, checked before (no CR or LF, none that frame the request). Postloop's win.
        allowed: Private networks that the operator opened for this endpoint.
    """

    endpoint_id: str
    target: Target
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    allowed: tuple[Network, ...] = ()


class Line:
    """The connections to one endpoint under one set of rules."""

    def __init__(self, destination: Destination, lookup: Lookup, tls: ssl.SSLContext, limits: Limits) -> None:
        target, allowed = destination.target, destination.allowed
        self.destination = destination
        self.under_way_count = 0
        self._limits = limits
        self._refusal: Verdict = judge_before_lookup(target, allowed=allowed)
        self._opener = Opener(
            Guard(target, allowed),
            lookup,
            tls=tls,
            connect_s=limits.connect_s,
            lookup_s=limits.lookup_s,
            kept_bytes=limits.answer_bytes,
        )
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []  # the one used last is the next to be used
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def post(
        self, body: bytes, signature: Mapping[str, str], answer: Answer, *, deadline_s: float
    ) -> None:
        """Send one request and read its answer.

        A connection that was kept open may have been closed by the receiver in the very moment; that is nobody's
        failure, so such a request is sent once more, on a new connection.

        Args:
            deadline_s: On the loop's clock.
        """
        if not self._refusal.is_allowed:
            raise ForbiddenAddressError(self._refusal)
        request = b"".join((self._head, _fields(signature), b"Content-Length: %d\r\n\r\n" % len(body), body))
        kept = self._kept()
        if kept is not None:
            try:
                await self._exchange(kept, request, answer, deadline_s)
            except ConnectionLostError:
                if kept.has_heard:
                    raise
            else:
                return
        if self._is_closed:
            raise ConnectionLostError
        async with asyncio.timeout_at(deadline_s):
            made = await self._opener.open()
        self._connections.add(made)
        await self._exchange(made, request, answer, deadline_s)

    def close(self) -> None:
        """End all connections, also those in use."""
        self._is_closed = True
        self._idle.clear()
        for connection in self._connections:
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    @cached_property
    def _head(self) -> bytes:
        """What is the same in all requests. Raises ValueError for a header that would begin another or frame it."""
        destination = self.destination
        ours = {
            "Host": destination.target.authority,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        said = {ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER, *(name.lower() for name in ours)}
        own = {name: value for name, value in destination.headers.items() if name.lower() not in said}
        if not _FRAMING.isdisjoint(name.lower() for name in own):
            raise ValueError("a header of the frame of a request")
        return f"POST {destination.target.path} HTTP/1.1\r\n".encode("ascii") + _fields({**ours, **own})

    async def _exchange(
        self, connection: Connection, request: bytes, answer: Answer, deadline_s: float
    ) -> None:
        try:
            if self._is_closed:
                raise ConnectionLostError
            self._opener.check_peer(connection.peer)
            await connection.exchange(request, answer, deadline_s=deadline_s)
        except BaseException:
            self._drop(connection)
            raise
        if connection.is_reusable and not self._is_closed:
            self._idle.append(connection)
            self._sweep_later()
        else:
            self._drop(connection)

    # -- kept connections --------------------------------------------------------------------------------------

    def _kept(self) -> Connection | None:
        """Return a connection that may be used again."""
        now_s, limits = self._loop.time(), self._limits
        while self._idle:
            connection = self._idle.pop()
            is_fresh = now_s - connection.idle_since_s <= limits.idle_s
            if connection.is_open and is_fresh and now_s - connection.opened_s <= limits.age_s:
                return connection
            self._drop(connection)
        return None

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            first_s = self._idle[0].idle_since_s + self._limits.idle_s
            self._sweeper = self._loop.call_at(first_s, self._sweep)

    def _sweep(self) -> None:
        """End what was not used for so long."""
        self._sweeper = None
        before_s = self._loop.time() - self._limits.idle_s
        while self._idle and self._idle[0].idle_since_s <= before_s:
            self._drop(self._idle.pop(0))
        if self._idle:
            self._sweep_later()

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._connections.discard(connection)


def _fields(headers: Mapping[str, str]) -> bytes:
    """Return lines of headers. Raises ValueError for one that would begin another."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if not all(map(_is_field, lines)):
        raise ValueError("a header is no header")
    return "".join([f"{line}\r\n" for line in lines]).encode()
