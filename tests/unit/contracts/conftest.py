"""Builders of records."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ENVELOPE = {
    "event_id": "e-1",
    "occurred_at": "2026-11-23T11:59:00.250Z",
    "account_id": "acme",
    "message_id": "m-1@example.com",
    "sender_domain": "news.example.com",
    "recipient": "Ada@Gmail.com",
}


@pytest.fixture
def record() -> Callable[..., bytes]:
    """Return a builder of one event's bytes; a field set to `...` is left out."""
    return make_record


def make_record(**fields: Any) -> bytes:
    event = {name: value for name, value in {**ENVELOPE, **fields}.items() if value is not ...}
    return json.dumps(event, ensure_ascii=False).encode()
