"""Sends one attempt of a webhook and says what came of it; never raises for what a receiver does.

A receiver is a stranger: it may hang, drip, talk without end, lie in its headers, or point its name at somebody's
network. Every attempt has one deadline over all of it, reads a bounded part of the answer, follows nothing, asks no
proxy of the environment, keeps no cookies, unpacks nothing, and goes to judged addresses only.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from types import MappingProxyType, TracebackType
from typing import Final, Literal, Self

from aiohttp import (
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
)
from multidict import CIMultiDict
from yarl import URL

from postloop.adapters.tls import tls_context
from postloop.adapters.webhook_connection import (
    ForbiddenAddressError,
    Guard,
    GuardedConnector,
    Trip,
    current_trip,
    judged_addresses,
)
from postloop.adapters.webhook_lookup import Lookup, LookupFailedError, SystemLookup
from postloop.domain.webhook.addresses import Network, Verdict, judge_before_lookup
from postloop.domain.webhook.signing import Signer, attempt_headers
from postloop.domain.webhook.target import Target, parse_target

TransportError = Literal[
    "",
    "timeout",
    "connect_failed",
    "connection_lost",
    "tls",
    "bad_answer",
    "dns_not_found",
    "dns_failed",
    "forbidden_address",
    "internal",
]
"""Why there is no whole answer. dns_failed and internal are our fault, forbidden_address is final."""

USER_AGENT: Final = "Postloop-Webhooks/1"
MAX_RETRY_AFTER_CHARS: Final = 64
_MAX_HEADER_COUNT: Final = 100
_MAX_HEADER_BYTES: Final = 8_190
_BUFFER_BYTES: Final = 16_384


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of one attempt.

    Attributes:
        status: Of the answer; 0: none came.
        error: Why there is no whole answer; empty: there is one, and its status decides.
        reason: The same in words, for the customer. Shows no address, no secret and no URL.
        retry_after: The header as it came, empty where there was none.
        latency_ms: From the call to the end of the attempt.
        answer: What was read of the answer's body, as it came over the wire.
        is_cut: Whether more of it was to come.
    """

    status: int = 0
    error: TransportError = ""
    reason: str = ""
    retry_after: str = ""
    latency_ms: float = 0.0
    answer: bytes = field(default=b"", repr=False)
    is_cut: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the receiver has it: a whole answer with 200 to 299."""
        return not self.error and 200 <= self.status <= 299


class WebhookSender:
    """Sends attempts, many at a time; `async with` or `close` ends it.

    How many at a time is the caller's to bound. Each endpoint has connections of its own, so that no answer, cookie or
    permission of one can reach another.

    Args:
        lookup: Looks hosts up; the operating system without.
        ca_file: Trusted authorities; the system's without.
        clock: Seconds since 1970, for the timestamps.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        lookup: Lookup | None = None,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._system = None if lookup else SystemLookup()
        self._lookup = lookup or self._system or SystemLookup()
        self._tls = tls_context(ca_file)
        self._clock = clock
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._retired: set[_Line] = set()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def check(self, url: str, *, allowed: tuple[Network, ...] = ()) -> Target:
        """Return the target of a URL that an attempt would be sent to now; for create, update and test.

        Raises:
            DataError: The URL has a mistake.
            ForbiddenAddressError: The guard refuses; `verdict` has code and text.
            LookupFailedError: The host has no address, or none that could be found out.
        """
        guard = Guard(parse_target(url), allowed)
        verdict = judge_before_lookup(guard.target, allowed=allowed)
        if not verdict.is_allowed:
            raise ForbiddenAddressError(verdict)
        await judged_addresses(guard, self._lookup, timeout_s=self._limits.lookup_s)
        return guard.target

    async def send(
        self, destination: Destination, *, message_id: str, body: bytes, signers: Sequence[Signer]
    ) -> AttemptResult:
        """Make one attempt: sign these bytes with the time of now, send them, read the answer.

        Raises:
            DataError: The message id or the secrets cannot be used.
        """
        started_s = time.perf_counter()
        line = self._line_to(destination)
        signature = attempt_headers(
            message_id=message_id, timestamp_s=int(self._clock()), body=body, signers=signers
        )
        answer = _Answer()
        error: TransportError = ""
        reason = ""
        line.under_way_count += 1
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                await line.post(body, signature, answer)
        except (ForbiddenAddressError, LookupFailedError, ClientError, OSError, ValueError) as failure:
            error, reason = _classified(failure)
        finally:
            line.under_way_count -= 1
            if line in self._retired:
                self._retire(line)
        return AttemptResult(
            status=answer.status,
            error=error,
            reason=reason,
            retry_after=answer.retry_after,
            latency_ms=(time.perf_counter() - started_s) * 1e3,
            answer=bytes(answer.body),
            is_cut=answer.is_cut,
        )

    async def close(self) -> None:
        """Close every connection; attempts under way fail."""
        for line in (*self._lines.values(), *self._retired):
            self._close_line(line)
        self._lines.clear()
        while self._closing:
            await asyncio.gather(*self._closing)
        if self._system:
            self._system.close()

    def forget(self, endpoint_id: str) -> None:
        """Close the connections of an endpoint, for one that was removed; attempts under way end as they would."""
        line = self._lines.pop(endpoint_id, None)
        if line:
            self._retire(line)

    def _line_to(self, destination: Destination) -> _Line:
        line = self._lines.get(destination.endpoint_id)
        if line is not None and line.destination is not destination and line.destination != destination:
            # Another URL or permission: a connection that was made under the old ones is not used again.
            self.forget(destination.endpoint_id)
            line = None
        if line is None:
            return self._new_line(destination)
        self._lines.move_to_end(destination.endpoint_id)
        return line

    def _new_line(self, destination: Destination) -> _Line:
        line = _Line(destination, self._lookup, self._tls, self._limits)
        self._lines[destination.endpoint_id] = line
        if len(self._lines) > self._limits.endpoint_count:
            self.forget(next(iter(self._lines)))
        return line

    def _retire(self, line: _Line) -> None:
        """Close a line when its last attempt has ended."""
        self._retired.add(line)
        if not line.under_way_count:
            self._close_line(line)

    def _close_line(self, line: _Line) -> None:
        self._retired.discard(line)
        task = asyncio.get_running_loop().create_task(line.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


@dataclass(slots=True)
class _Answer:
    """What is known of an answer, filled as it arrives: a deadline may cut it anywhere."""

    status: int = 0
    retry_after: str = ""
    body: bytearray = field(default_factory=bytearray)
    is_cut: bool = False


class _Line:
    """The connections to one endpoint under one set of rules."""

    def __init__(self, destination: Destination, lookup: Lookup, tls: SSLContext, limits: Limits) -> None:
        target, allowed = destination.target, destination.allowed
        self.destination = destination
        self.under_way_count = 0
        self._limits = limits
        self._refusal: Verdict = judge_before_lookup(target, allowed=allowed)
        self._url = URL(target.url, encoded=True)
        connector = GuardedConnector(
            Guard(target, allowed),
            lookup,
            lookup_s=limits.lookup_s,
            age_s=limits.age_s,
            idle_s=limits.idle_s,
            tls=tls,
        )
        self._session = ClientSession(
            connector=connector,
            headers=_fixed_headers(destination.headers),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=None, sock_connect=limits.connect_s),
            read_bufsize=_BUFFER_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADER_COUNT,
        )

    async def post(self, body: bytes, signature: Mapping[str, str], answer: _Answer) -> None:
        """Send one request and read its answer.

        A connection that was kept open may have been closed by the receiver in the very moment; that is nobody's
        failure, so such a request is sent once more, on a new connection.
        """
        if not self._refusal.is_allowed:
            raise ForbiddenAddressError(self._refusal)
        trip = Trip()
        current_trip.set(trip)
        try:
            await self._exchange(body, signature, answer)
        except (ClientError, ConnectionError) as failure:
            if answer.status or not trip.is_reused or _classified(failure)[0] != "connection_lost":
                raise
            trip.must_be_new = True
            await self._exchange(body, signature, answer)

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(self, body: bytes, signature: Mapping[str, str], answer: _Answer) -> None:
        async with self._session.post(
            self._url, data=body, headers=signature, allow_redirects=False
        ) as response:
            answer.status = response.status
            answer.retry_after = response.headers.get("Retry-After", "")[:MAX_RETRY_AFTER_CHARS]
            await self._read(response, answer)

    async def _read(self, response: ClientResponse, answer: _Answer) -> None:
        limit = self._limits.answer_bytes
        while len(answer.body) <= limit:
            chunk = await response.content.readany()
            if not chunk:
                return
            answer.body += chunk
        del answer.body[limit:]
        answer.is_cut = True
        response.close()  # and with it the connection: the rest of the answer is not waited for


def _fixed_headers(own: Mapping[str, str]) -> CIMultiDict[str]:
    headers = CIMultiDict(own)
    headers.update(
        {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
    )
    return headers


def _classified(failure: Exception) -> tuple[TransportError, str]:
    """Return class and words for a failure. The texts of libraries are not shown: they hold addresses."""
    if isinstance(failure, ForbiddenAddressError):
        return ("dns_not_found" if failure.verdict.code == "no_address" else "forbidden_address"), str(
            failure
        )
    if isinstance(failure, LookupFailedError):
        return ("dns_not_found" if failure.is_final else "dns_failed"), str(failure)
    if isinstance(failure, TimeoutError):  # ours and every one of aiohttp's
        return "timeout", "no whole answer came in time"
    if isinstance(failure, ClientSSLError | ClientConnectorSSLError):
        return "tls", _tls_reason(str(failure))
    if isinstance(failure, ClientConnectorError):
        return "connect_failed", _connect_reason(failure.os_error.errno)
    if isinstance(failure, ClientResponseError):
        return "bad_answer", "the answer is no HTTP, or its headers are too large"
    if isinstance(failure, ClientError | OSError) and not isinstance(failure, ValueError):
        return "connection_lost", "the connection was closed before the answer was whole"
    return "internal", "the request could not be made"


def _tls_reason(text: str) -> str:
    if "mismatch" in text:
        return "the certificate is made for another host"
    if "expired" in text:
        return "the certificate has expired"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "the certificate is not trusted"
    return "the TLS handshake failed"


def _connect_reason(number: int | None) -> str:
    if number == errno.ECONNREFUSED:
        return "the connection was refused"
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "the host cannot be reached"
    return "no connection could be made"
