"""Whether an endpoint fails for so long that it is disabled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from postloop.domain.webhook.endpoint import HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """When to give up an endpoint.

    Attributes:
        disable_after_ms: Of nothing but failures.
        least_failures: In that time: one failure before a quiet week and one behind it prove nothing.
        forget_after_ms: Without any failure; then the count begins anew.
        warn_at: The attempt whose failure is told to operators.
    """

    disable_after_ms: int = 120 * HOUR_MS
    least_failures: int = 10
    forget_after_ms: int = 240 * HOUR_MS
    warn_at: int = 4


DEFAULT_HEALTH: Final = HealthPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The failures since the last success.

    Attributes:
        first_ms: When the first of them was; 0: there is none.
        last_ms: When the last one was.
    """

    first_ms: int = 0
    last_ms: int = 0
    failure_count: int = 0


HEALTHY: Final = Health()


def succeeded(health: Health) -> Health:
    """Return the health after a success: whatever was before is forgotten."""
    return health if health == HEALTHY else HEALTHY


def failed(health: Health, *, now_ms: int, policy: HealthPolicy = DEFAULT_HEALTH) -> Health:
    """Return the health after a failure that counts against the endpoint."""
    if not health.failure_count or now_ms - health.last_ms > policy.forget_after_ms:
        return Health(first_ms=now_ms, last_ms=now_ms, failure_count=1)
    return replace(health, last_ms=max(health.last_ms, now_ms), failure_count=health.failure_count + 1)


def is_hopeless(health: Health, policy: HealthPolicy = DEFAULT_HEALTH) -> bool:
    """Return whether the endpoint is to be disabled: nothing but failures, many, for long enough."""
    return (
        health.failure_count >= policy.least_failures
        and health.last_ms - health.first_ms >= policy.disable_after_ms
    )
