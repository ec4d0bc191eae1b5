"""The life of an endpoint: what may be done in which state, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from postloop.domain.errors import DataError
from postloop.domain.webhook.endpoint import (
    DAY_MS,
    RECOVERY_MS,
    DisableCause,
    Endpoint,
    EndpointState,
    Secret,
)
from postloop.domain.webhook.validation import check_endpoint

Action = Literal["pause", "resume", "disable"]

TRANSITIONS: Final[Mapping[tuple[EndpointState, Action], EndpointState]] = MappingProxyType(
    {
        ("active", "pause"): "paused",
        ("active", "resume"): "active",
        ("active", "disable"): "disabled",
        ("paused", "pause"): "paused",
        ("paused", "resume"): "active",
        ("paused", "disable"): "disabled",
        ("disabled", "resume"): "active",
        ("disabled", "disable"): "disabled",
    }
)
"""What is missing is refused. What leads to the same state changes nothing: a command may come twice."""

DEFAULT_OVERLAP_MS: Final = DAY_MS
MAX_OVERLAP_MS: Final = 7 * DAY_MS
MAX_OLD_SECRETS: Final = 10

# What `edit` may change. Owner, id, secrets and state have ways of their own.
EDITABLE: Final = frozenset(
    {
        "url",
        "event_types",
        "filters",
        "headers",
        "rate_limit_per_s",
        "concurrency",
        "recipient",
        "is_batched",
        "allowed_networks",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDisabled:
    """An endpoint was disabled by its receiver's behaviour or by an operator: its owner must hear of it."""

    endpoint: Endpoint
    at_ms: int


def moved(endpoint: Endpoint, action: Action, *, now_ms: int, cause: DisableCause = "") -> Endpoint:
    """Return the endpoint after an action; the same object when nothing changes.

    Args:
        cause: Why it is disabled; an earlier cause stays.

    Raises:
        DataError: `wrong_state`, the action is none for this state.
    """
    state = TRANSITIONS.get((endpoint.state, action))
    if state is None:
        raise DataError("wrong_state", "state", f"a {endpoint.state} endpoint cannot be told to {action}")
    if state == endpoint.state:
        return endpoint
    return replace(
        endpoint,
        state=state,
        cause=cause if state == "disabled" else "",
        state_ms=now_ms,
        version=endpoint.version + 1,
    )


def rotated(
    endpoint: Endpoint, new_secret: str, *, now_ms: int, overlap_ms: int = DEFAULT_OVERLAP_MS
) -> Endpoint:
    """Return the endpoint with a new secret; those before sign for the overlap, and never longer than before.

    Raises:
        DataError: `out_of_range`, the overlap is not from 0 to 7 days; `too_many_secrets`, more than 10 old ones
            would still be valid; `repeated`, the secret is one of them.
    """
    if not 0 <= overlap_ms <= MAX_OVERLAP_MS:
        raise DataError(
            "out_of_range", "overlap", f"the overlap is from 0 to 7 days: {overlap_ms / DAY_MS:g} days"
        )
    if any(secret.value == new_secret for secret in endpoint.secrets):
        raise DataError("repeated", "secrets", "the new secret is one of the old ones")
    until_ms = now_ms + overlap_ms
    old = [
        Secret(value=secret.value, valid_until_ms=_earlier(secret.valid_until_ms, until_ms))
        for secret in endpoint.secrets
    ]
    old = [secret for secret in old if (secret.valid_until_ms or 0) > now_ms]
    if len(old) > MAX_OLD_SECRETS:
        raise DataError(
            "too_many_secrets",
            "secrets",
            f"{MAX_OLD_SECRETS} old secrets are still valid: wait, or rotate with an overlap of 0",
        )
    return replace(endpoint, secrets=(Secret(value=new_secret), *old), version=endpoint.version + 1)


def edited(endpoint: Endpoint, **changes: Any) -> Endpoint:
    """Return the endpoint with other values; it is checked as a new one is.

    Raises:
        DataError: `not_editable`, or what `check_endpoint` says.
    """
    foreign = sorted(set(changes) - EDITABLE)
    if foreign:
        raise DataError("not_editable", foreign[0], f"{foreign[0]} of an endpoint cannot be edited")
    after = replace(endpoint, **changes)
    if after == endpoint:
        return endpoint
    check_endpoint(after)
    return replace(after, version=endpoint.version + 1)


Disposal = Literal["send", "hold", "keep", "drop"]


def disposal(endpoint: Endpoint, *, now_ms: int) -> Disposal:
    """Return what becomes of an event for an endpoint.

    A paused endpoint's wait. A disabled one's are kept as undelivered, so that its owner can recover them, until it
    has been disabled for as long as such are kept at all.
    """
    if endpoint.state == "active":
        return "send"
    if endpoint.state == "paused":
        return "hold"
    return "keep" if now_ms - endpoint.state_ms < RECOVERY_MS else "drop"


def _earlier(valid_until_ms: int | None, until_ms: int) -> int:
    return until_ms if valid_until_ms is None else min(valid_until_ms, until_ms)
