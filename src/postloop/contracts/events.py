"""Which model describes which event type, and the row form of each model.

The rows are TypedDicts made from the models' own annotations, so the two cannot drift apart. They validate to
plain dicts in half the time, and a field that was not sent is not there.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NotRequired, get_type_hints

from pydantic import ConfigDict, FailFast, TypeAdapter
from typing_extensions import TypedDict

from postloop.contracts.bounce import BounceV1
from postloop.contracts.complaint import ComplaintV1
from postloop.contracts.delivery import DeliveryV1
from postloop.contracts.envelope import Envelope
from postloop.contracts.open import OpenV1
from postloop.contracts.send import SendV1
from postloop.contracts.unsubscribe import UnsubscribeV1
from postloop.domain.event_types import EventType

Event = dict[str, Any]
"""A valid event: the fields that were sent, times as datetimes in UTC; an optional field may be None."""

MODELS: Final[dict[EventType, type[Envelope]]] = {
    "send": SendV1,
    "delivery": DeliveryV1,
    "bounce": BounceV1,
    "complaint": ComplaintV1,
    "open": OpenV1,
    "unsubscribe": UnsubscribeV1,
}


def row_adapter(model: type[Envelope], *, extra: Literal["ignore", "forbid"]) -> TypeAdapter[Event]:
    """Return the validator of a model's row form, made from the annotations of the model."""
    return TypeAdapter(_row_type(model, extra))


def list_adapter(model: type[Envelope], *, extra: Literal["ignore", "forbid"]) -> TypeAdapter[list[Event]]:
    """Return the validator of an array of rows; it gives up at the first bad one."""
    rows: Any = list[_row_type(model, extra)]  # type: ignore[misc]
    return TypeAdapter(Annotated[rows, FailFast()])


def _row_type(model: type[Envelope], extra: Literal["ignore", "forbid"]) -> Any:
    hints = get_type_hints(model, include_extras=True)
    fields = {
        name: hints[name] if field.is_required() else NotRequired[hints[name]]
        for name, field in model.model_fields.items()
    }
    make: Callable[[str, dict[str, Any]], Any] = TypedDict  # type: ignore[assignment]
    row = make(f"{model.__name__}Row", fields)
    row.__pydantic_config__ = ConfigDict(strict=True, extra=extra)
    return row


def defaults_of(event_type: EventType) -> Event:
    """Return the values that optional fields have when they are not sent."""
    return {n: f.get_default() for n, f in MODELS[event_type].model_fields.items() if not f.is_required()}


_DEFAULTS: Final[dict[EventType, Event]] = {kind: defaults_of(kind) for kind in MODELS}


def with_defaults(event_type: EventType, event: Event) -> Event:
    """Return the event with every field of its contract, null and absent ones at their defaults."""
    return {**_DEFAULTS[event_type], **{name: value for name, value in event.items() if value is not None}}


def occurred_at(event: Event) -> datetime:
    """Return when the event happened."""
    moment: datetime = event["occurred_at"]
    return moment
