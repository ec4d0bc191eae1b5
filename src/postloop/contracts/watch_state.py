"""What the watches of delivery times and of feedback keep of each scope, beside the reputation in its changelog."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from postloop.contracts.alert import DeliveryAlertV1
from postloop.domain import delivery_time, silence
from postloop.domain.alert import Scope
from postloop.domain.delivery_time import DelayState
from postloop.domain.errors import DataError
from postloop.domain.silence import Feedback, SilenceState

DELAY_PREFIX: Final = "d|"
SILENCE_PREFIX: Final = "s|"
WATCH_PREFIXES: Final = (DELAY_PREFIX, SILENCE_PREFIX)

# The states have names of their own for what is in them.
_UNTOLD: Final = "untold_alerts"

_State = TypeVar("_State")


def delay_key(scope: Scope) -> str:
    """Return the key under which the delivery times of a scope are kept."""
    return DELAY_PREFIX + json.dumps(scope.to_plain(), ensure_ascii=False)


def silence_key(scope: Scope, feedback: Feedback) -> str:
    """Return the key under which one kind of feedback of a scope is kept."""
    return SILENCE_PREFIX + json.dumps([*scope.to_plain(), feedback], ensure_ascii=False)


def owner_name(scope: Scope) -> str:
    """Return the name whose hash decides who watches a scope: that of its reputation, where it has one."""
    return scope.sender_domain or scope.mailbox_provider or ""


def scope_of_key(key: str) -> Scope:
    """Return the scope of a key of a watch.

    Raises:
        DataError: `invalid_key`, it is none.
    """
    try:
        return Scope.from_plain(json.loads(key[len(DELAY_PREFIX) :])[:3])
    except ValueError as error:
        raise DataError("invalid_key", "", f"not the key of a watch: {key!r}") from error


def delay_to_bytes(state: DelayState, pending: Sequence[DeliveryAlertV1] = ()) -> bytes:
    """Return what is kept of delivery times.

    Args:
        pending: Alerts that belong to the state and may not have been published yet.
    """
    return _to_bytes(delivery_time.state_to_plain(state), pending)


def delay_from_bytes(value: bytes) -> tuple[DelayState, tuple[DeliveryAlertV1, ...]]:
    """Return what `delay_to_bytes` was given.

    Raises:
        DataError: `invalid_state`, it is not of that form.
    """
    return _from_bytes(value, delivery_time.state_from_plain)


def silence_to_bytes(state: SilenceState, pending: Sequence[DeliveryAlertV1] = ()) -> bytes:
    """Return what is kept of feedback; `pending` as of `delay_to_bytes`."""
    return _to_bytes(silence.state_to_plain(state), pending)


def silence_from_bytes(value: bytes) -> tuple[SilenceState, tuple[DeliveryAlertV1, ...]]:
    """Return what `silence_to_bytes` was given.

    Raises:
        DataError: `invalid_state`, it is not of that form.
    """
    return _from_bytes(value, silence.state_from_plain)


def _to_bytes(plain: dict[str, Any], pending: Sequence[DeliveryAlertV1]) -> bytes:
    if pending:
        plain[_UNTOLD] = [json.loads(alert.to_bytes()) for alert in pending]
    return json.dumps(plain, ensure_ascii=False).encode()


def _from_bytes(
    value: bytes, state_from_plain: Callable[[dict[str, Any]], _State]
) -> tuple[_State, tuple[DeliveryAlertV1, ...]]:
    try:
        plain = json.loads(value)
        pending = plain.pop(_UNTOLD, [])
        alerts = tuple(DeliveryAlertV1.model_validate_json(json.dumps(alert)) for alert in pending)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError("invalid_state", "", "the state of a watch cannot be read") from error
    return state_from_plain(plain), alerts
