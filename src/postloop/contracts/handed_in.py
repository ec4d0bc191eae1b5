"""Events that somebody hands in, by a file or by HTTP: each says its own type, or one is told for those that do not."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from postloop.contracts.decode import Limits, decode_record
from postloop.contracts.events import Event
from postloop.contracts.field_errors import FieldError
from postloop.domain.event_types import EVENT_TYPES, EventType


@dataclass(frozen=True, slots=True)
class HandedIn:
    """One JSON text: an event, or where a type is told an array of events.

    Attributes:
        event_type: None: it has none, and `problems` says so.
        events: The good ones.
        problems: (place in the array or None, reason); with any of them nothing of the text is to be published.
    """

    value: bytes
    event_type: EventType | None
    events: tuple[Event, ...]
    problems: tuple[tuple[int | None, FieldError], ...]

    @property
    def key(self) -> bytes | None:
        """The key of its record: the recipient of its first event."""
        return str(self.events[0]["recipient"]).encode("utf-8", "surrogatepass") if self.events else None


def read_handed_in(
    value: bytes, *, event_type: EventType | None, now: datetime, limits: Limits, hint: str
) -> HandedIn:
    """Return what a text holds; never raises, whatever the bytes are.

    Args:
        event_type: The type of every event that does not say one of ours in `type`; None: each must. Another word there
            is a field of the sender's own, as in `"type": "Permanent"`.
        hint: How a type is told for all, as in `--type`.
    """
    parsed = _parsed(value)
    kind = _own_type(parsed) or event_type
    if kind is None and isinstance(parsed, dict):
        text = f"type must be one of {', '.join(EVENT_TYPES)}, or use {hint}"
        return HandedIn(value, None, (), ((None, FieldError("unknown_type", "type", text)),))
    # A text that is no object ends the same way whatever its type is said to be.
    decoded = decode_record(kind or "send", value, now=now, limits=limits)
    problems = tuple((error.index, reason) for error in decoded.errors for reason in error.errors)
    if kind is None and not problems:
        problems = ((None, FieldError("unknown_type", "type", f"an array needs {hint}")),)
    if kind is not None and isinstance(parsed, list):
        problems += _other_types(parsed, kind)
    return HandedIn(value, kind, tuple(decoded.events), problems)


def _own_type(event: Any) -> EventType | None:
    """Return the type that an event says it has, None for none or an unknown one."""
    said = event.get("type") if isinstance(event, dict) else None
    return next((kind for kind in EVENT_TYPES if said in (kind, f"email.{kind}")), None)


def _other_types(elements: list[Any], kind: EventType) -> tuple[tuple[int, FieldError], ...]:
    """Return a reason for each element that says another type: an array is one record, and stands on one topic."""
    reason = FieldError("other_type", "type", f"the array is handed in as {kind}, and this says another type")
    own_types = map(_own_type, elements)
    return tuple((place, reason) for place, own in enumerate(own_types) if own not in (None, kind))


def _parsed(value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
