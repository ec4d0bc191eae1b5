"""Sends one attempt of a webhook and says what came of it; never raises for what a receiver does.

A receiver is a stranger: it may hang, drip, talk without end, lie in its headers, or point its name at somebody's
network. Every attempt has one deadline over all of it, reads a bounded part of the answer, follows nothing, asks no
proxy of the environment, keeps no cookies, unpacks nothing, and goes to judged addresses only.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from postloop.adapters.tls import tls_context
from postloop.adapters.webhook_connection import ForbiddenAddressError, Guard, judged_addresses
from postloop.adapters.webhook_exchange import Answer
from postloop.adapters.webhook_line import DEFAULT_LIMITS, Destination, Limits, Line
from postloop.adapters.webhook_lookup import Lookup, SystemLookup
from postloop.adapters.webhook_result import FAILURES, AttemptResult, TransportError, classified
from postloop.domain.webhook.addresses import Network, judge_before_lookup
from postloop.domain.webhook.signing import Signer, attempt_headers
from postloop.domain.webhook.target import Target, parse_target


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
        self._lines: OrderedDict[str, Line] = OrderedDict()
        self._retired: set[Line] = set()

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
        answer = Answer()
        error: TransportError = ""
        reason = ""
        line.under_way_count += 1
        try:
            deadline_s = asyncio.get_running_loop().time() + self._limits.deadline_s
            await line.post(body, signature, answer, deadline_s=deadline_s)
        except FAILURES as failure:
            error, reason = classified(failure)
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
        await asyncio.sleep(0)  # the transports let go of their sockets
        if self._system:
            self._system.close()

    def forget(self, endpoint_id: str) -> None:
        """Close the connections of an endpoint, for one that was removed; attempts under way end as they would."""
        line = self._lines.pop(endpoint_id, None)
        if line:
            self._retire(line)

    def _line_to(self, destination: Destination) -> Line:
        line = self._lines.get(destination.endpoint_id)
        if line is not None and line.destination is not destination and line.destination != destination:
            # Another URL or permission: a connection that was made under the old ones is not used again.
            self.forget(destination.endpoint_id)
            line = None
        if line is None:
            return self._new_line(destination)
        self._lines.move_to_end(destination.endpoint_id)
        return line

    def _new_line(self, destination: Destination) -> Line:
        line = Line(destination, self._lookup, self._tls, self._limits)
        self._lines[destination.endpoint_id] = line
        if len(self._lines) > self._limits.endpoint_count:
            self.forget(next(iter(self._lines)))
        return line

    def _retire(self, line: Line) -> None:
        """Close a line when its last attempt has ended."""
        self._retired.add(line)
        if not line.under_way_count:
            self._close_line(line)

    def _close_line(self, line: Line) -> None:
        self._retired.discard(line)
        line.close()
