"""Records that must be refused, of every kind that the contract names, each worth one dead letter."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any, Final, NamedTuple

from postloop.domain.event_types import EVENT_TYPES, EventType
from postloop.simulation.clock_text import ClockText
from postloop.simulation.plan import Plan

_REQUIRED: Final = ("event_id", "occurred_at", "account_id", "message_id", "sender_domain", "recipient")
_TOO_LARGE_BYTES: Final = 1_150_000
_LARGE_EVERY: Final = 12  # such records are heavy: one in so many rounds over all kinds
_YEAR_MS: Final = 365 * 86_400_000
_BEFORE_2000: Final = "1999-12-31T23:59:59.999Z"

RECORD_KINDS: Final = (
    "cut_json",
    "not_utf8",
    "empty_value",
    "null_value",
    "json_null",
    "top_level_number",
    "top_level_string",
    "too_large",
)
"""What is wrong with a record as a whole."""
ELEMENT_KINDS: Final = (
    "missing_field",
    "wrong_type",
    "null_field",
    "empty_event_id",
    "long_event_id",
    "unknown_version",
    "time_without_zone",
    "no_time",
    "before_2000",
    "too_old",
    "in_future",
    "nan",
    "infinity",
    "too_deep",
    "array_in_array",
    "string_element",
)
"""What is wrong with one event, alone or in the company of good ones."""


class Invalid(NamedTuple):
    """One thing that ends as one dead letter."""

    kind: str
    event_type: EventType
    value: bytes | None
    fits_in_array: bool


class InvalidMaker:
    """Makes invalid values in turn, so that every kind comes up."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self._plan = plan
        self._rng = rng
        self._clock = ClockText(0)
        self._made = 0
        self._kinds = self._in_turn()

    def next(self, *, alone: bool) -> Invalid:
        """Return the next invalid value; `alone` says that no array can be had for it."""
        kind = next(self._kinds)
        while alone and kind in ("array_in_array", "string_element"):
            kind = next(self._kinds)
        self._made += 1
        event_type = self._rng.choice(EVENT_TYPES)
        if kind in RECORD_KINDS:
            return Invalid(kind, event_type, self._record(kind), False)
        return Invalid(kind, event_type, self._element(kind), True)

    def _in_turn(self) -> Any:
        for turn in itertools.count():
            kinds = [k for k in RECORD_KINDS + ELEMENT_KINDS if k != "too_large" or turn % _LARGE_EVERY == 0]
            self._rng.shuffle(kinds)
            yield from kinds

    def _event(self) -> dict[str, Any]:
        moment = self._plan.start_ms + int(self._rng.random() * self._plan.span_ms)
        return {
            "event_id": f"{self._plan.event_id_prefix}bad{self._made:x}",
            "occurred_at": self._clock.text(moment),
            "account_id": self._plan.account(0),
            "message_id": f"{self._made:x}@invalid.example",
            "sender_domain": "mail.invalid.example",
            "recipient": f"reader{self._made}@gmail.com",
        }

    def _record(self, kind: str) -> bytes | None:
        good = _dumps(self._event())
        values: dict[str, bytes | None] = {
            "cut_json": good[: len(good) // 2],
            "not_utf8": good.replace(b"reader", b"r\xe9ader\xff"),
            "empty_value": b"",
            "null_value": None,
            "json_null": b"null",
            "top_level_number": b"42",
            "top_level_string": b'"delivered"',
        }
        if kind == "too_large":
            return _dumps({**self._event(), "comment": "so long " * (_TOO_LARGE_BYTES // 8)})
        return values[kind]

    def _element(self, kind: str) -> bytes:
        event = self._event()
        field = self._rng.choice(_REQUIRED)
        plan = self._plan
        if kind == "missing_field":
            del event[field]
            return _dumps(event)
        if kind == "array_in_array":
            return b"[" + _dumps(event) + b"]"
        if kind == "string_element":
            return b'"delivered"'
        wrong: dict[str, dict[str, Any]] = {
            "wrong_type": {field: self._rng.choice((17, True, {"id": "x"}))},
            "null_field": {field: None},
            "empty_event_id": {"event_id": ""},
            "long_event_id": {"event_id": "x" * 65},
            "unknown_version": {"schema_version": 2},
            "time_without_zone": {"occurred_at": event["occurred_at"].removesuffix("Z")},
            "no_time": {"occurred_at": "yesterday at noon"},
            "before_2000": {"occurred_at": _BEFORE_2000},
            "too_old": {"occurred_at": self._clock.text(plan.start_ms - 12 * _YEAR_MS)},
            "in_future": {"occurred_at": self._clock.text(plan.end_ms + _YEAR_MS)},
            "nan": {"score": float("nan")},
            "infinity": {"score": float("-inf")},
            "too_deep": {"details": _nested(25)},
        }
        return _dumps({**event, **wrong[kind]})


def _nested(levels: int) -> Any:
    value: Any = 0
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
