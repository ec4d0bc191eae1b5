"""The circuit breaker and the rate limit of an endpoint, as states that functions replace.

An open circuit costs no attempts: what is due waits, and one probe at a time finds out whether the receiver is back.
It never disables an endpoint: that takes days of failures (`health`), not minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPolicy:
    """When a circuit opens, and for how long.

    Attributes:
        sample_ms: Length of a sample; samples make up the window.
        window_ms: Attempts that are older count no more.
        least_attempts: In the window, for it to say anything.
        trip_rate: The share of failures that opens the circuit.
        pause_ms: The first pause; each probe that fails doubles it.
        longest_pause_ms: It does not grow beyond this.
    """

    sample_ms: int = 30_000
    window_ms: int = 300_000
    least_attempts: int = 10
    trip_rate: float = 0.7
    pause_ms: int = 30_000
    longest_pause_ms: int = 600_000


DEFAULT_CIRCUIT: Final = CircuitPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Attempts that ended within one stretch of time."""

    start_ms: int
    attempt_count: int = 0
    failure_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The state of one endpoint's circuit.

    Attributes:
        samples: Of the window, the oldest first; kept while closed.
        open_until_ms: The pause ends then; 0: the circuit is closed.
        reopened_count: Probes that failed in a row.
    """

    samples: tuple[Sample, ...] = ()
    open_until_ms: int = 0
    reopened_count: int = 0


CLOSED: Final = Circuit()
FIRST_LIMIT: Final = 4
"""Attempts that may run at the same time of an endpoint of which nothing is known."""
CircuitState = Literal["closed", "open", "half_open"]


def circuit_state(circuit: Circuit, *, now_ms: int) -> CircuitState:
    """Return whether attempts may be made: all of them, none, or one probe."""
    if not circuit.open_until_ms:
        return "closed"
    return "half_open" if now_ms >= circuit.open_until_ms else "open"


def attempted(
    circuit: Circuit, *, is_failure: bool, now_ms: int, policy: CircuitPolicy = DEFAULT_CIRCUIT
) -> Circuit:
    """Return the circuit after an attempt ended.

    Any success closes an open circuit. A failure during the pause is of an attempt that had begun before it, and
    says nothing new.
    """
    state = circuit_state(circuit, now_ms=now_ms)
    if state == "closed":
        return _sampled(circuit, is_failure=is_failure, now_ms=now_ms, policy=policy)
    if not is_failure:
        return CLOSED
    return circuit if state == "open" else _opened(circuit.reopened_count + 1, now_ms, policy)


def _sampled(circuit: Circuit, *, is_failure: bool, now_ms: int, policy: CircuitPolicy) -> Circuit:
    start_ms = now_ms - now_ms % policy.sample_ms
    kept = [s for s in circuit.samples if s.start_ms + policy.sample_ms > now_ms - policy.window_ms]
    last = kept.pop() if kept and kept[-1].start_ms >= start_ms else Sample(start_ms=start_ms)
    last = replace(
        last, attempt_count=last.attempt_count + 1, failure_count=last.failure_count + int(is_failure)
    )
    samples = (*kept, last)
    attempts = sum(s.attempt_count for s in samples)
    failures = sum(s.failure_count for s in samples)
    if is_failure and attempts >= policy.least_attempts and failures >= policy.trip_rate * attempts:
        return _opened(0, now_ms, policy)
    return Circuit(samples=samples)


def _opened(reopened: int, now_ms: int, policy: CircuitPolicy) -> Circuit:
    # The exponent is bounded: a receiver that is away for days must not make numbers of a thousand digits.
    pause_ms = min(policy.pause_ms * 2 ** min(reopened, 32), policy.longest_pause_ms)
    return Circuit(open_until_ms=now_ms + pause_ms, reopened_count=reopened)


def next_limit(limit: int, *, is_failure: bool, most: int) -> int:
    """Return how many attempts may run at the same time after one ended: one more, or half as many.

    Args:
        most: What the endpoint allows.
    """
    return max(1, limit // 2) if is_failure else min(limit + 1, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A token bucket: how many attempts may be made at once.

    Attributes:
        tokens: At `at_ms`; it fills at the rate, up to one second's worth and at least one.
    """

    tokens: float
    at_ms: int


def full_bucket(*, rate_per_s: float, now_ms: int) -> Bucket:
    """Return the bucket of an endpoint that was quiet."""
    return Bucket(tokens=_most(rate_per_s), at_ms=now_ms)


def refilled(bucket: Bucket, *, rate_per_s: float, now_ms: int) -> Bucket:
    """Return the bucket at a later moment; a clock that goes back adds nothing."""
    passed_s = max(0, now_ms - bucket.at_ms) / 1000
    tokens = min(_most(rate_per_s), bucket.tokens + passed_s * rate_per_s)
    return Bucket(tokens=tokens, at_ms=max(bucket.at_ms, now_ms))


def allowance(bucket: Bucket) -> int:
    """Return how many attempts may begin."""
    return max(0, math.floor(bucket.tokens + 1e-9))


def spent(bucket: Bucket, count: int) -> Bucket:
    """Return the bucket after attempts began."""
    return replace(bucket, tokens=bucket.tokens - count)


def next_token_ms(bucket: Bucket, *, rate_per_s: float) -> int:
    """Return when an attempt may begin at the earliest."""
    missing = max(0.0, 1.0 - bucket.tokens)
    return bucket.at_ms + math.ceil(missing / rate_per_s * 1000)


def _most(rate_per_s: float) -> float:
    return max(1.0, rate_per_s)
