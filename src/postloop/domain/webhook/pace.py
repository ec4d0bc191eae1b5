"""How fast one endpoint is served: its circuit, rate, earned slots and health, kept by the worker that owns it."""

from __future__ import annotations

from typing import Final

from postloop.domain.webhook.circuit import (
    CLOSED,
    FIRST_LIMIT,
    allowance,
    attempted,
    circuit_state,
    full_bucket,
    next_limit,
    next_token_ms,
    refilled,
    spent,
)
from postloop.domain.webhook.dispatch import Lane, Queue
from postloop.domain.webhook.endpoint import Endpoint
from postloop.domain.webhook.health import HEALTHY, Health, failed, is_hopeless, succeeded
from postloop.domain.webhook.schedule import Judgement

_UNLIMITED: Final = 1_000_000
READ_AHEAD: Final = 2
"""An endpoint that earned it is given so many times as many attempts as may run: the next begins when one ends."""


class Pace:
    """The state of one endpoint; a new owner begins with its health and nothing else.

    Attributes:
        endpoint: Its newest version.
        health: To be stored when it changes.
        first_running: First attempts that run or stand ready.
        late_running: Late attempts likewise.
    """

    def __init__(self, endpoint: Endpoint, *, now_ms: int, health: Health = HEALTHY) -> None:
        self.endpoint = endpoint
        self.health = health
        self.first_running = 0
        self.late_running = 0
        self._circuit = CLOSED
        self._limit = FIRST_LIMIT
        self._bucket = full_bucket(rate_per_s=endpoint.rate_limit_per_s, now_ms=now_ms)
        self._forget_before(endpoint.state_ms)

    def take(self, endpoint: Endpoint) -> None:
        """Go on with a newer version of the endpoint; one that was resumed begins anew."""
        is_resumed = endpoint.state == "active" and endpoint.state_ms > self.endpoint.state_ms
        self.endpoint = endpoint
        if is_resumed:
            self._circuit, self._limit = CLOSED, FIRST_LIMIT
            self._forget_before(endpoint.state_ms)

    def limit(self, *, now_ms: int) -> int:
        """Return how many attempts may run or stand ready; 0: none now, and nothing need be read for it."""
        if self.endpoint.state != "active":
            return 0
        state = circuit_state(self._circuit, now_ms=now_ms)
        return {"closed": min(self._limit, self._most), "half_open": 1, "open": 0}[state]

    def queue(self, *, first_due: int, late_due: int, now_ms: int) -> Queue:
        """Return what `pick` needs to know."""
        return Queue(
            endpoint_id=self.endpoint.endpoint_id,
            first_due=first_due,
            late_due=late_due,
            first_running=self.first_running,
            late_running=self.late_running,
            limit=self.limit(now_ms=now_ms),
            allowance=self._allowance(now_ms),
        )

    def wakes_ms(self, *, now_ms: int) -> int | None:
        """Return when an attempt may begin that may not now: the pause ends, a token comes. None: no need."""
        if circuit_state(self._circuit, now_ms=now_ms) == "open":
            return self._circuit.open_until_ms
        rate = self.endpoint.rate_limit_per_s
        return next_token_ms(self._bucket, rate_per_s=rate) if rate and self._allowance(now_ms) == 0 else None

    def began(self, lane: Lane, count: int = 1) -> None:
        """Note that attempts began; a batch is one."""
        self._add(lane, count)
        if self.endpoint.rate_limit_per_s:
            self._bucket = spent(self._bucket, count)

    def ended(self, lane: Lane, judgement: Judgement, *, now_ms: int) -> bool:
        """Note what came of an attempt; return whether the endpoint is to be disabled now, as failing."""
        self._add(lane, -1)
        is_failure = judgement.outcome != "done"
        if is_failure and not judgement.counts:
            return False
        self._circuit = attempted(self._circuit, is_failure=is_failure, now_ms=now_ms)
        self._limit = next_limit(self._limit, is_failure=is_failure, most=self._most)
        self.health = failed(self.health, now_ms=now_ms) if is_failure else succeeded(self.health)
        return is_hopeless(self.health)

    def abandoned(self, lane: Lane) -> None:
        """Note that an attempt was given up by us: nothing is known."""
        self._add(lane, -1)

    def _forget_before(self, state_ms: int) -> None:
        """Let failures from before the endpoint was resumed count no more: the next would disable it again."""
        if self.health.first_ms < state_ms:
            self.health = HEALTHY

    @property
    def _most(self) -> int:
        return READ_AHEAD * self.endpoint.concurrency

    def _add(self, lane: Lane, count: int) -> None:
        if lane == "first":
            self.first_running += count
        else:
            self.late_running += count

    def _allowance(self, now_ms: int) -> int:
        rate = self.endpoint.rate_limit_per_s
        if not rate:
            return _UNLIMITED
        self._bucket = refilled(self._bucket, rate_per_s=rate, now_ms=now_ms)
        return allowance(self._bucket)
