"""Connections of one endpoint, which lead to judged addresses only.

Four places look at the address, because each alone has been passed by somebody: the target before anything is done
(aiohttp asks no resolver about literals), all answers of the resolver, the address a socket is about to be made for,
and the peer of the connection that a request is about to be written to, new or reused.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import ClientRequest, ClientTimeout, ServerDisconnectedError, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace

from postloop.adapters.webhook_lookup import Lookup, LookupFailedError
from postloop.domain.webhook.addresses import Network, Verdict, judge, read_address
from postloop.domain.webhook.target import Address, Target

_MAX_KNOWN_PEERS: Final = 256


class ForbiddenAddressError(Exception):
    """The guard refuses where a request would go."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


@dataclass(slots=True)
class Trip:
    """What one request knows of its connection."""

    must_be_new: bool = False
    is_reused: bool = False


current_trip: ContextVar[Trip] = ContextVar("current_trip")


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules for one endpoint."""

    target: Target
    allowed: tuple[Network, ...]

    def check(self, addresses: Sequence[Address]) -> None:
        """Accept addresses that may be connected to, all of them or none.

        Raises:
            ForbiddenAddressError: The first that may not.
        """
        verdict = judge(self.target, addresses, allowed=self.allowed)
        if not verdict.is_allowed:
            raise ForbiddenAddressError(verdict)


async def judged_addresses(guard: Guard, lookup: Lookup, *, timeout_s: float) -> Sequence[Address]:
    """Return the addresses of a target's host, looked up once, when every one of them may be connected to.

    Raises:
        ForbiddenAddressError: One may not.
        LookupFailedError: There are none, or no answer came in time.
    """
    literal = guard.target.literal
    if literal:
        addresses: Sequence[Address] = [literal]
    else:
        addresses = await _looked_up(guard.target.host, lookup, timeout_s)
    guard.check(addresses)
    return addresses


class GuardedConnector(TCPConnector):
    """Connections of one endpoint.

    Args:
        age_s: Connections that were opened longer ago are not used again, so that a host's new addresses are seen.
        idle_s: Connections are closed after so long without use.
    """

    def __init__(
        self, guard: Guard, lookup: Lookup, *, lookup_s: float, age_s: float, idle_s: float, tls: SSLContext
    ) -> None:
        super().__init__(
            resolver=_JudgingResolver(guard, lookup, lookup_s),
            socket_factory=self._judged_socket,
            use_dns_cache=False,  # an answer is judged, connected to and forgotten
            ssl=tls,
            limit=0,  # the role bounds attempts; a second bound here would hide waiting inside the deadline
            keepalive_timeout=idle_s,
        )
        self._guard = guard
        self._age_s = age_s
        self._opened_s: WeakKeyDictionary[object, float] = WeakKeyDictionary()
        self._known_peers: set[str] = set()

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Return a connection whose peer is judged, before a byte is written to it."""
        trip = current_trip.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            opened_s = self._opened_s.get(connection.protocol)
            now_s = time.monotonic()
            if opened_s is None:
                self._opened_s[connection.protocol] = now_s
            elif trip.must_be_new or now_s - opened_s > self._age_s:
                connection.close()
                continue
            trip.is_reused = opened_s is not None
            try:
                self._check_peer(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _check_peer(self, connection: Connection) -> None:
        transport = connection.transport
        peer = None if transport is None else transport.get_extra_info("peername")
        if not peer:  # it was closed as soon as it was open
            raise ServerDisconnectedError
        if peer[0] not in self._known_peers:
            self._guard.check([read_address(peer[0])])
            if len(self._known_peers) >= _MAX_KNOWN_PEERS:
                self._known_peers.clear()
            self._known_peers.add(peer[0])

    def _judged_socket(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        self._guard.check([read_address(str(address[0]))])
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class _JudgingResolver(AbstractResolver):
    """Gives the connector the addresses of the host when all of them may be connected to."""

    def __init__(self, guard: Guard, lookup: Lookup, timeout_s: float) -> None:
        self._guard = guard
        self._lookup = lookup
        self._timeout_s = timeout_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await judged_addresses(self._guard, self._lookup, timeout_s=self._timeout_s)
        return [_as_result(host, port, address) for address in addresses]

    async def close(self) -> None:
        """Nothing is held."""


async def _looked_up(host: str, lookup: Lookup, timeout_s: float) -> Sequence[Address]:
    try:
        async with asyncio.timeout(timeout_s):
            return await lookup(host)
    except TimeoutError:
        raise LookupFailedError("no name server answered in time", is_final=False) from None


def _as_result(host: str, port: int, address: Address) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
