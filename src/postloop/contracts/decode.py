"""Bytes of a record -> events and errors. The hot path of the recorder.

Every element of every record ends as exactly one event or one error, and nothing here raises because of what
the bytes are. Three roads lead to the same answer:

1. A record with known fields only is validated in one call. Nothing is checked beforehand: NaN, Infinity and
   deep nesting can only hide in unknown fields, and this validator refuses those.
2. What it refuses is looked at on the bytes and validated by the one that ignores unknown fields.
3. An array that is not wholly good is cut into its elements; each is decoded as if sent alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pydantic import ValidationError

from postloop.contracts import json_text
from postloop.contracts.events import MODELS, Event, list_adapter, row_adapter
from postloop.contracts.field_errors import FieldError, field_errors, has_unknown_field, is_json_error
from postloop.domain.event_types import EventType

Stage = Literal["decode", "validate"]

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a record may be at most; the defaults are the contract's."""

    max_record_bytes: int = 1_000_000
    max_nesting: int = 20
    """Arrays and objects open at once within one event; the array around a batch of events does not count."""
    max_ahead: timedelta = timedelta(hours=24)
    retention: timedelta | None = None
    """How long raw events are kept; an event older than that is refused. None: for ever."""
    max_elements: int = 10_000
    """More events than fit into a record (one has at least 122 bytes): no good batch is refused.
    It keeps a record of half a million commas from becoming half a million dead letters."""


@dataclass(frozen=True, slots=True)
class RecordError:
    """Why a record, or the element `index` of its array, is no event, and its bytes."""

    index: int | None
    stage: Stage
    errors: tuple[FieldError, ...]
    value: bytes


@dataclass(slots=True)
class DecodedRecord:
    """The good events of one record, their places in its array (0 for a single object), and the errors."""

    events: list[Event] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    errors: list[RecordError] = field(default_factory=list)


@dataclass(slots=True)
class DecodedBatch:
    """The same for many records; `records` and the first part of each error are places in the batch."""

    events: list[Event] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    errors: list[tuple[int, RecordError]] = field(default_factory=list)


DEFAULT_LIMITS: Final = Limits()
_ONE_EVENT: Final = [0]


def decode_record(
    event_type: EventType, value: bytes | None, *, now: datetime, limits: Limits = DEFAULT_LIMITS
) -> DecodedRecord:
    """Return the events and errors of one record's value; never raises, whatever the bytes are."""
    batch = decode_batch(event_type, (value,), now=now, limits=limits)
    return DecodedRecord(batch.events, batch.indexes, [error for _, error in batch.errors])


def decode_batch(
    event_type: EventType, values: Iterable[bytes | None], *, now: datetime, limits: Limits = DEFAULT_LIMITS
) -> DecodedBatch:
    """Return the events and errors of the values of many records of one topic."""
    decoder, window, batch = _DECODERS[event_type], Window.around(now, limits), DecodedBatch()
    validate, first, last, max_bytes = decoder.known, window.first, window.last, limits.max_record_bytes
    add_event, add_record, add_index = batch.events.append, batch.records.append, batch.indexes.append
    all_known = True
    for place, value in enumerate(values):
        if all_known and value is not None and len(value) <= max_bytes:
            try:
                event = validate(value)
                if first <= event["occurred_at"] <= last:
                    add_event(event)
                    add_record(place)
                    add_index(0)
                    continue
            except ValidationError:
                pass
        decoded = decoder.record(value, window, limits)
        if decoded.indexes == _ONE_EVENT:
            all_known = False  # this producer sends fields of its own: the first road would be tried in vain
        batch.events += decoded.events
        batch.indexes += decoded.indexes
        batch.records += [place] * len(decoded.events)
        batch.errors += [(place, error) for error in decoded.errors]
    return batch


def problem_of_json(value: bytes, *, is_unparsed: bool = False) -> FieldError | None:
    """Return why bytes are no JSON, or none that any topic takes; None where nothing is wrong with them as a text.

    Args:
        is_unparsed: The parser refused them.
    """
    problem = _problem_of_text(value, None, DEFAULT_LIMITS)
    if problem is None and (is_unparsed or not json_text.is_json(value)):
        return _unparsed(value)
    return problem


@dataclass(frozen=True, slots=True)
class Window:
    """The moments at which an event may have happened, both ends included."""

    first: datetime
    last: datetime

    @classmethod
    def around(cls, now: datetime, limits: Limits) -> "Window":
        oldest = EARLIEST if limits.retention is None else max(EARLIEST, now - limits.retention)
        return cls(oldest.astimezone(UTC), (now + limits.max_ahead).astimezone(UTC))

    def problem(self, moment: datetime) -> FieldError | None:
        if self.first <= moment <= self.last:
            return None
        shown = moment.isoformat().replace("+00:00", "Z")
        if moment > self.last:
            return FieldError(
                "in_future", "occurred_at", f"occurred_at is after {self.last:%Y-%m-%dT%H:%MZ}: {shown}"
            )
        if moment < EARLIEST:
            return FieldError("too_early", "occurred_at", f"occurred_at is before 2000-01-01: {shown}")
        return FieldError(
            "too_old", "occurred_at", f"occurred_at is before {self.first:%Y-%m-%dT%H:%MZ}: {shown}"
        )


_ReadOne = Callable[[bytes], Event]
_ReadMany = Callable[[bytes], list[Event]]


class _Decoder:
    """The validators of one event type."""

    def __init__(self, event_type: EventType) -> None:
        model = MODELS[event_type]
        self.known: _ReadOne = row_adapter(model, extra="forbid").validator.validate_json
        self._lenient: _ReadOne = row_adapter(model, extra="ignore").validator.validate_json
        self._many_known: _ReadMany = list_adapter(model, extra="forbid").validator.validate_json
        self._many_lenient: _ReadMany = list_adapter(model, extra="ignore").validator.validate_json

    def record(self, value: bytes | None, window: Window, limits: Limits) -> DecodedRecord:
        if value is None:
            return _whole(b"", "null_value", "the record has no value")
        if len(value) > limits.max_record_bytes:
            text = f"the record has more than {limits.max_record_bytes} bytes: {len(value)}"
            return _whole(value, "too_large", text)
        if json_text.is_array(value):
            return self._array(value, window, limits)
        event = self._element(value, None, window, limits)
        if isinstance(event, RecordError):
            return DecodedRecord(errors=[event])
        return DecodedRecord(events=[event], indexes=[0])

    def _array(self, value: bytes, window: Window, limits: Limits) -> DecodedRecord:
        events = self._wholly_good_array(value, window, limits)
        if events is not None:
            return DecodedRecord(events=events, indexes=list(range(len(events))))
        elements = json_text.split_array(value, max_count=limits.max_elements)
        if elements is None:
            return _not_json(value)
        if len(elements) > limits.max_elements:
            return _whole(value, "too_many", f"the array has more than {limits.max_elements} elements")
        decoded = DecodedRecord()
        for index, element in enumerate(elements):
            event = self._element(element, index, window, limits)
            if not isinstance(event, RecordError):
                decoded.events.append(event)
                decoded.indexes.append(index)
            elif event.errors[0].code in _UNREADABLE:
                return _not_json(value)  # one element that is no JSON, and the array is none
            else:
                decoded.errors.append(event)
        return decoded

    def _wholly_good_array(self, value: bytes, window: Window, limits: Limits) -> list[Event] | None:
        """Return the events of an array without a fault, None when it needs a closer look."""
        try:
            events = self._many_known(value)
        except ValidationError as error:
            if not has_unknown_field(error):
                return None
            outside = json_text.outside_strings(value)
            too_deep = json_text.is_deeper(outside, limit=limits.max_nesting + 1)
            if too_deep or json_text.has_non_finite(outside):
                return None
            try:
                events = self._many_lenient(value)
            except ValidationError:
                return None
        first, last = window.first, window.last
        if len(events) > limits.max_elements:
            return None
        return events if all(first <= event["occurred_at"] <= last for event in events) else None

    def _element(
        self, value: bytes, index: int | None, window: Window, limits: Limits
    ) -> Event | RecordError:
        problem = _problem_of_text(value, index, limits)
        if problem is not None:
            return RecordError(index, "decode", (problem,), value)
        try:
            event = self._lenient(value)
        except ValidationError as error:
            if is_json_error(error):
                return RecordError(index, "decode", (_unparsed(value),), value)
            errors = field_errors(error)
            return RecordError(
                index, "decode" if errors[0].code == "not_an_object" else "validate", errors, value
            )
        problem = window.problem(event["occurred_at"])
        return event if problem is None else RecordError(index, "validate", (problem,), value)


_UNREADABLE: Final = frozenset({"not_utf8", "not_json"})


def _problem_of_text(value: bytes, index: int | None, limits: Limits) -> FieldError | None:
    """Return what the contract refuses and the parser would take."""
    if index is not None and json_text.is_array(value):
        return _unless_unreadable(
            value, FieldError("nested_array", "", "an array of events cannot hold an array")
        )
    if not json_text.may_break_rules(value, limit=limits.max_nesting):
        return None
    outside = json_text.outside_strings(value)
    if json_text.is_deeper(outside, limit=limits.max_nesting):
        text = f"nested more than {limits.max_nesting} levels deep"
        return _unless_unreadable(value, FieldError("too_deep", "", text))
    if json_text.has_non_finite(outside):
        text = "NaN and Infinity are not JSON numbers"
        return _unless_unreadable(value, FieldError("not_finite", "", text))
    return None


def _unless_unreadable(value: bytes, problem: FieldError) -> FieldError:
    """Return the problem, or the graver one that the text is no JSON at all."""
    return problem if json_text.is_json(value) else _unparsed(value)


def _unparsed(value: bytes) -> FieldError:
    """Return why the parser refused a text."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return FieldError("not_utf8", "", f"not UTF-8 at byte {error.start}")
    if not json_text.is_json(value):
        return FieldError("not_json", "", "not JSON")
    if json_text.has_surrogate_escape(value):
        return FieldError("half_character", "", "a \\u escape names half a character (a lone surrogate)")
    return FieldError("number_too_large", "", "a number has too many digits")


def _not_json(value: bytes) -> DecodedRecord:
    problem = _unparsed(value)
    code, text = (problem.code, problem.text) if problem.code in _UNREADABLE else ("not_json", "not JSON")
    return _whole(value, code, text)


def _whole(value: bytes, code: str, text: str) -> DecodedRecord:
    return DecodedRecord(errors=[RecordError(None, "decode", (FieldError(code, "", text),), value)])


_DECODERS: Final[dict[EventType, _Decoder]] = {event_type: _Decoder(event_type) for event_type in MODELS}
