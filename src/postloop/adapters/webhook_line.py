"""The line to one endpoint: its connections under one set of rules, and one exchange over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from types import MappingProxyType
from typing import Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from multidict import CIMultiDict
from yarl import URL

from postloop.adapters.webhook_connection import (
    ForbiddenAddressError,
    Guard,
    GuardedConnector,
    Trip,
    current_trip,
)
from postloop.adapters.webhook_lookup import Lookup
from postloop.adapters.webhook_result import classified
from postloop.domain.webhook.addresses import Network, Verdict, judge_before_lookup
from postloop.domain.webhook.target import Target

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


@dataclass(slots=True)
class Answer:
    """What is known of an answer, filled as it arrives: a deadline may cut it anywhere."""

    status: int = 0
    retry_after: str = ""
    body: bytearray = field(default_factory=bytearray)
    is_cut: bool = False


class Line:
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

    async def post(self, body: bytes, signature: Mapping[str, str], answer: Answer) -> None:
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
            if answer.status or not trip.is_reused or classified(failure)[0] != "connection_lost":
                raise
            trip.must_be_new = True
            await self._exchange(body, signature, answer)

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(self, body: bytes, signature: Mapping[str, str], answer: Answer) -> None:
        async with self._session.post(
            self._url, data=body, headers=signature, allow_redirects=False
        ) as response:
            answer.status = response.status
            answer.retry_after = response.headers.get("Retry-After", "")[:MAX_RETRY_AFTER_CHARS]
            await self._read(response, answer)

    async def _read(self, response: ClientResponse, answer: Answer) -> None:
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
