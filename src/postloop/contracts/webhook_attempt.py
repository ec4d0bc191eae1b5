"""What is written down of attempts, for people and the database: no secret, and a body only of what was given up.

One record of the topic holds what happened within a moment: attempts, deliveries that were given up, what waits.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from postloop.contracts.fields import SchemaVersion, WireTime
from postloop.domain.errors import DataError
from postloop.domain.webhook.schedule import ErrorClass

MAX_RESPONSE_CHARS = 1_024
"""Kept of a response: enough to see what the receiver objects to."""


class _Logged(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class AttemptV1(_Logged):
    """One try of one delivery."""

    at: WireTime = Field(description="When it ended.")
    webhook_id: str
    request_id: str = Field(default="", description="The id of the batch it went out in; empty: alone.")
    endpoint_id: str
    account_id: str | None
    event_id: str
    type: str
    attempt: int = Field(ge=1)
    outcome: Literal["delivered", "retried", "given_up"]
    error_class: ErrorClass = ""
    status: int = Field(default=0, description="0: no response.")
    latency_ms: int = Field(ge=0)
    next_attempt_at: WireTime | None = None
    response: str = Field(default="", max_length=MAX_RESPONSE_CHARS, description="Its beginning.")
    is_test: bool = False


class DeadWebhookV1(_Logged):
    """A delivery that was given up; with its body, so that it can be sent again by hand."""

    at: WireTime
    webhook_id: str
    endpoint_id: str
    account_id: str | None
    event_id: str
    type: str
    attempt_count: int
    cause: str
    body: str


class BacklogV1(_Logged):
    """How much of an endpoint waits at a moment."""

    at: WireTime
    endpoint_id: str
    account_id: str | None
    waiting_count: int
    dead_count: int


class WebhookAnswerV1(_Logged):
    """What a command did; for who sent it, the database keeps none."""

    command_id: str
    changed_count: int = Field(description="Deliveries that are attempted again.")


class AttemptLogV1(_Logged):
    """One record of the topic."""

    schema_version: SchemaVersion = 1
    attempts: tuple[AttemptV1, ...] = ()
    dead: tuple[DeadWebhookV1, ...] = ()
    backlog: tuple[BacklogV1, ...] = ()
    answers: tuple[WebhookAnswerV1, ...] = ()


def attempt_log_from_bytes(value: bytes) -> AttemptLogV1:
    """Return what a record tells.

    Raises:
        DataError: `bad_attempt_log`, the bytes are none.
    """
    try:
        return AttemptLogV1.model_validate_json(value)
    except ValidationError as error:
        raise DataError("bad_attempt_log", "", f"no log of attempts: {error.errors()[0]['msg']}") from None
