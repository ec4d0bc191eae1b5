"""The internal records of the webhooks role: deliveries by endpoint, and the changelog of those that wait.

Nobody else reads these topics. They are JSON all the same, so that support can look at them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from postloop.domain.errors import DataError
from postloop.domain.webhook.bodies import body_of, plain_json
from postloop.domain.webhook.endpoint import DAY_MS
from postloop.domain.webhook.health import Health
from postloop.domain.webhook.matching import Directory
from postloop.domain.webhook.notice import Notice, webhook_id
from postloop.domain.webhook.transitions import disposal

DeliveryState = Literal["waiting", "dead", "remembered"]

DELIVERY_PREFIX: Final = "d|"
HEALTH_PREFIX: Final = "h|"
REMEMBER_DELAYED_MS: Final = 7 * DAY_MS
"""Servers retry for five days at most as a rule (RFC 5321 section 4.5.4.1): so long may a second deferral come."""
# What is read may be of anybody: what no file holds is no delivery.
WebhookId = Annotated[str, Field(pattern=r"^msg_[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Milliseconds = Annotated[int, Field(ge=0, le=253_402_300_799_999)]
_Count = Annotated[int, Field(ge=0, lt=2**62)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryV1:
    """One event for one endpoint, with the body that every attempt sends.

    Attributes:
        webhook_id: Follows from event and endpoint; the key.
        type: Of the event.
        arrived_ms: When it was matched with the endpoint, in milliseconds since 1970.
        state: `dead` is what is kept for an endpoint that is disabled.
        attempt_count: Attempts made.
        due_ms: When the next attempt is due; of a dead one, when it died; of a remembered one, until when.
        remember_ms: How long its id is remembered after it was delivered, so that a second cause tells nothing.
        cause: Why it is dead.
        version: Counts the changes: of two copies the one with the higher version counts.
    """

    webhook_id: WebhookId
    endpoint_id: str
    event_id: str
    type: str
    body: str
    arrived_ms: Milliseconds
    state: DeliveryState = "waiting"
    attempt_count: _Count = 0
    due_ms: Milliseconds = 0
    remember_ms: Milliseconds = 0
    cause: str = ""
    version: _Count = 0


# Their bodies hold texts, whole numbers and truth values only.
_OF_MAIL: Final = "email."
_ONE: Final = TypeAdapter(DeliveryV1)
_HEALTH: Final = TypeAdapter(Health)
_MANY: Final = TypeAdapter(list[DeliveryV1])


def deliveries_of(notice: Notice, directory: Directory, *, now_ms: int) -> Iterator[DeliveryV1]:
    """Yield a delivery for every endpoint that hears of an event; given up already where the endpoint is disabled.

    Raises:
        DataError: `too_large`, the body.
    """
    encode = fast_json if notice.type.startswith(_OF_MAIL) else plain_json
    for endpoint in directory.receivers(notice):
        fate = disposal(endpoint, now_ms=now_ms)
        if fate != "drop":
            yield DeliveryV1(
                webhook_id=webhook_id(event_id=notice.event_id, endpoint_id=endpoint.endpoint_id),
                endpoint_id=endpoint.endpoint_id,
                event_id=notice.event_id,
                type=notice.type,
                body=body_of(notice, endpoint, encode=encode).decode(),
                arrived_ms=now_ms,
                state="dead" if fate == "keep" else "waiting",
                due_ms=now_ms,
                remember_ms=REMEMBER_DELAYED_MS if notice.type == "email.delayed" else 0,
                cause="disabled" if fate == "keep" else "",
            )


def fast_json(value: Mapping[str, Any]) -> bytes:
    """Return what `plain_json` returns in an eighth of its time, where no value is a float (1e-07 becomes 1e-7)."""
    try:
        return to_json(value)
    except PydanticSerializationError:  # half a surrogate pair
        return plain_json(value)


def health_to_bytes(health: Health) -> bytes:
    """Return the failures of an endpoint as they stand in the changelog."""
    return _HEALTH.dump_json(health)


def health_from_bytes(value: bytes) -> Health:
    """Return the failures of an endpoint."""
    return _HEALTH.validate_json(value)


def health_key(endpoint_id: str) -> str:
    """Return the key of the failures of an endpoint in the changelog."""
    return HEALTH_PREFIX + endpoint_id


def deliveries_to_bytes(deliveries: Sequence[DeliveryV1]) -> bytes:
    """Return deliveries as the value of one record of the delivery topic."""
    return _MANY.dump_json(list(deliveries), exclude_defaults=True)


def deliveries_from_bytes(value: bytes) -> list[DeliveryV1]:
    """Return the deliveries of a record.

    Raises:
        DataError: `bad_deliveries`, the bytes are none.
    """
    try:
        return _MANY.validate_json(value)
    except ValidationError as error:
        raise DataError("bad_deliveries", "", f"no deliveries: {error.errors()[0]['msg']}") from error


def delivery_to_bytes(delivery: DeliveryV1) -> bytes:
    """Return a delivery as it stands in the changelog."""
    return _ONE.dump_json(delivery, exclude_defaults=True)


def delivery_from_bytes(value: bytes) -> DeliveryV1:
    """Return a delivery; the bytes are our own, so anything else is a fault."""
    return _ONE.validate_json(value)


def delivery_key(webhook_id: str) -> str:
    """Return the key of a delivery in the changelog."""
    return DELIVERY_PREFIX + webhook_id
