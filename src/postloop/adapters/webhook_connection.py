"""Connections to one endpoint, which lead to judged addresses only.

Four places look at the address, because each alone has been passed by somebody: the target before anything is done,
all answers of the resolver, the address a socket is about to be made for, and the peer of the connection that a request
is about to be written to, new or reused.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohappyeyeballs import AddrInfoType, start_connection

from postloop.adapters.webhook_exchange import Connection, ConnectionLostError
from postloop.adapters.webhook_lookup import Lookup, LookupFailedError
from postloop.domain.webhook.addresses import Network, Verdict, judge, read_address
from postloop.domain.webhook.target import Address, Target

_MAX_KNOWN_PEERS: Final = 256
# Of an address that does not answer the others are tried after this, while it may still answer (RFC 8305 section 5).
_NEXT_ADDRESS_AFTER_S: Final = 0.25


class ForbiddenAddressError(Exception):
    """The guard refuses where a request would go."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


class ConnectFailedError(Exception):
    """No connection could be made. `number`: the operating system's errno, where it gave one."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self.number = number


class TlsFailedError(Exception):
    """There is a connection and no agreement over TLS. The text is OpenSSL's."""


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


class Opener:
    """Opens connections to one target.

    Args:
        connect_s: For one connection with its TLS handshake.
        lookup_s: For the lookup before it.
        kept_bytes: Of the body of an answer.
    """

    def __init__(
        self,
        guard: Guard,
        lookup: Lookup,
        *,
        tls: ssl.SSLContext,
        connect_s: float,
        lookup_s: float,
        kept_bytes: int,
    ) -> None:
        self._guard = guard
        self._lookup = lookup
        self._tls = tls if guard.target.is_tls else None
        self._connect_s = connect_s
        self._lookup_s = lookup_s
        self._kept_bytes = kept_bytes
        self._known_peers: set[str] = set()

    async def open(self) -> Connection:
        """Look the host up, and return a connection to one of its addresses.

        Raises:
            ForbiddenAddressError, LookupFailedError, ConnectFailedError, TlsFailedError, ConnectionLostError: See
                there.
            TimeoutError: None was there in time.
        """
        addresses = await judged_addresses(self._guard, self._lookup, timeout_s=self._lookup_s)
        async with asyncio.timeout(self._connect_s):
            return await self.connect(addresses)

    async def connect(self, addresses: Sequence[Address]) -> Connection:
        """Return a connection to the first of these addresses that takes one, in the ways of `open`."""
        left = list(addresses)
        while True:
            made = await self._connected(left)
            peer = self._judged_peer(made)
            try:
                return await self._taken_over(made)
            except (ConnectFailedError, TlsFailedError):
                left.remove(peer)
                if not left:
                    raise

    def check_peer(self, peer: str) -> None:
        """Accept a peer that may be written to.

        Raises:
            ForbiddenAddressError: It may not.
        """
        if peer not in self._known_peers:
            self._guard.check([read_address(peer)])
            if len(self._known_peers) >= _MAX_KNOWN_PEERS:
                self._known_peers.clear()
            self._known_peers.add(peer)

    async def _connected(self, addresses: Sequence[Address]) -> socket.socket:
        port = self._guard.target.port
        try:
            return await start_connection(
                [_info(address, port) for address in addresses],
                happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S,
                socket_factory=self._judged_socket,
            )
        except OSError as failure:
            raise ConnectFailedError(failure.errno) from None

    def _judged_peer(self, made: socket.socket) -> Address:
        """Return where a socket leads, before TLS writes its greeting to it."""
        try:
            peer = str(made.getpeername()[0])
            self.check_peer(peer)
        except OSError:  # it was closed as soon as it was open
            made.close()
            raise ConnectionLostError from None
        except ForbiddenAddressError:
            made.close()
            raise
        return read_address(peer)

    async def _taken_over(self, made: socket.socket) -> Connection:
        """Return a connection over a socket that is connected, after its TLS handshake."""
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(kept_bytes=self._kept_bytes),
                sock=made,
                ssl=self._tls,
                server_hostname=self._guard.target.host if self._tls else None,
            )
        except ssl.SSLError as failure:
            raise TlsFailedError(str(failure)) from None
        except OSError as failure:
            raise ConnectFailedError(failure.errno) from None
        return connection

    def _judged_socket(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        self._guard.check([read_address(str(address[0]))])
        return socket.socket(family, kind, protocol)


async def _looked_up(host: str, lookup: Lookup, timeout_s: float) -> Sequence[Address]:
    try:
        async with asyncio.timeout(timeout_s):
            return await lookup(host)
    except TimeoutError:
        raise LookupFailedError("no name server answered in time", is_final=False) from None


def _info(address: Address, port: int) -> AddrInfoType:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    place = (str(address), port) if address.version == 4 else (str(address), port, 0, 0)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place
