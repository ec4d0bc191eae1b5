"""`POST /v1/events`: a platform without a Kafka client hands its events in."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from postloop.adapters.clock import utc_now
from postloop.adapters.record_producer import Record
from postloop.api.caller import Asking, Caller
from postloop.api.examples import ACCEPTED, example
from postloop.api.json_route import require_plain
from postloop.api.openapi import WITH_KEY, errors
from postloop.api.problems import Problem
from postloop.api.state import Shared
from postloop.contracts import json_text
from postloop.contracts.decode import Limits
from postloop.contracts.field_errors import FieldError
from postloop.contracts.handed_in import HandedIn, read_handed_in
from postloop.domain.event_types import EventType, topic_name

router = APIRouter(prefix="/v1/events", tags=["events"], responses=WITH_KEY)

MAX_EVENTS: Final = 1_000
MAX_BYTES: Final = 5_000_000
_MAX_PROBLEMS: Final = 100
_EXAMPLE: Final = {
    "type": "bounce",
    "event_id": "b-2041",
    "occurred_at": "2026-01-02T09:30:00Z",
    "account_id": "acme",
    "message_id": "m-77",
    "sender_domain": "shop.example",
    "recipient": "anna@gmail.com",
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "diagnostic": "550 5.1.1 The email account that you tried to reach does not exist.",
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/Event"},
                        {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/Event"},
                            "minItems": 1,
                            "maxItems": MAX_EVENTS,
                        },
                    ]
                },
                "examples": {"one": {"value": _EXAMPLE}, "batch": {"value": [_EXAMPLE]}},
            }
        },
    }
}


class Accepted(BaseModel):
    """The brokers acknowledged every event."""

    model_config = ConfigDict(frozen=True)

    accepted_count: int
    by_type: dict[str, int] = Field(description="How many of each type.")


TypeInQuery = Annotated[
    EventType | None, Query(alias="type", description="The type of every event that does not say its own.")
]


@router.post(
    "",
    status_code=202,
    summary="Hand events in",
    responses={**errors(403, 413, 415), **example(ACCEPTED, status=202)},
    openapi_extra=_BODY,
)
async def hand_in(request: Request, caller: Asking, api: Shared, event_type: TypeInQuery = None) -> Accepted:
    """Publish an event, or an array of up to 1,000; answers when the brokers acknowledged all of them.

    One invalid event, and nothing of the request is published. After a 503 send the same again: an event whose
    `event_id` came before is counted once.
    """
    require_plain(request)
    body = await request.body()
    limits = Limits(retention=api.settings.raw_retention)
    # In a thread: checking thousands of fields of a large body takes longer than others should wait.
    read = await asyncio.to_thread(_read, body, event_type, limits)
    _require_valid(read)
    _require_own(read, caller)
    prefix = api.settings.topic_prefix
    await api.publisher.publish([_record(event, prefix=prefix) for event in read])
    by_type = Counter(str(event.event_type) for event in read)
    for kind, count in by_type.items():
        api.metrics.api_events_total.labels(type=kind).inc(count)
    return Accepted(accepted_count=len(read), by_type=dict(by_type))


def _read(body: bytes, event_type: EventType | None, limits: Limits) -> list[HandedIn]:
    """Return what a body holds, element by element.

    Raises:
        Problem: 422: it holds no event, or too many.
    """
    elements = [body]
    if json_text.is_array(body):
        cut = json_text.split_array(body, max_count=MAX_EVENTS)
        if cut is None:
            raise _invalid([_problem(None, "", "not_json", "the body is not JSON")])
        elements = cut
    if not elements or len(elements) > MAX_EVENTS:
        raise _invalid([_problem(None, "", "wrong_count", f"hand in 1 to {MAX_EVENTS:,} events at once")])
    now = utc_now()
    return [_element(value, event_type, now=now, limits=limits) for value in elements]


def _element(value: bytes, event_type: EventType | None, *, now: datetime, limits: Limits) -> HandedIn:
    if json_text.is_array(value):  # alone it would be taken for a batch
        problem = FieldError("nested_array", "", "an array of events cannot hold an array")
        return HandedIn(value, None, (), ((None, problem),))
    if _repeats_a_field(value):
        problem = FieldError("repeated_field", "", "a field stands in it twice")
        return HandedIn(value, None, (), ((None, problem),))
    return read_handed_in(value, event_type=event_type, now=now, limits=limits, hint="?type=")


def _repeats_a_field(value: bytes) -> bool:
    """Return whether an object of the text has a name twice."""
    is_repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal is_repeated
        is_repeated = is_repeated or json_text.has_name_twice(pairs)

    try:
        json.loads(value, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False  # what it is instead is told by who reads it next
    return is_repeated


def _require_valid(read: Sequence[HandedIn]) -> None:
    """Raise a Problem that names every reason, up to a limit."""
    problems = [
        _problem(index, reason.field, reason.code, reason.text)
        for index, event in enumerate(read)
        for _, reason in event.problems
    ]
    if problems:
        raise _invalid(problems)


def _require_own(read: Sequence[HandedIn], caller: Caller) -> None:
    """An account hands in events of its own mail only."""
    if caller.account_id is None:
        return
    for index, event in enumerate(read):
        if event.events[0]["account_id"] != caller.account_id:
            text = "The key belongs to another account than this event: nothing was published."
            raise Problem(
                403, "not_your_account", text, errors=[_problem(index, "account_id", "foreign", text)]
            )


def _record(event: HandedIn, *, prefix: str) -> Record:
    assert event.event_type is not None  # an event without a type has a problem
    return Record(topic_name(event.event_type, prefix=prefix), event.key, event.value)


def _invalid(problems: Sequence[dict[str, Any]]) -> Problem:
    reasons = "1 reason" if len(problems) == 1 else f"{len(problems)} reasons"
    text = f"{reasons} why this is not published; nothing of the request was."
    return Problem(422, "invalid_events", text, errors=list(problems[:_MAX_PROBLEMS]))


def _problem(index: int | None, field: str, code: str, text: str) -> dict[str, Any]:
    return {"index": index, "field": field, "code": code, "text": text}
