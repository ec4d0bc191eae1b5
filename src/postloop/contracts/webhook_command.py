"""Commands to the owner of an endpoint, as records among the deliveries.

A command takes the road of the deliveries, so it reaches whoever owns the endpoint, after what was sent before it. The
answer is part of the log of attempts.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from postloop.contracts.fields import SchemaVersion
from postloop.contracts.webhook_delivery import Milliseconds, WebhookId
from postloop.domain.errors import DataError


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    schema_version: SchemaVersion = 1
    command_id: str
    endpoint_id: str


class ResendV1(_Command):
    """Attempt deliveries again now, also those that were made."""

    command: Literal["resend"] = "resend"
    webhook_ids: tuple[WebhookId, ...]


class RecoverV1(_Command):
    """Attempt again what was given up of what arrived since a moment, in milliseconds since 1970."""

    command: Literal["recover"] = "recover"
    since_ms: Milliseconds


WebhookCommandV1 = ResendV1 | RecoverV1
_ADAPTER: TypeAdapter[WebhookCommandV1] = TypeAdapter(
    Annotated[ResendV1 | RecoverV1, Field(discriminator="command")]
)


def is_command(value: bytes) -> bool:
    """Return whether a record of the delivery topic is a command: an object, where deliveries are an array."""
    return value[:1] == b"{"


def command_to_bytes(command: WebhookCommandV1) -> bytes:
    """Return the value of the record."""
    return command.model_dump_json().encode()


def command_from_bytes(value: bytes) -> WebhookCommandV1:
    """Return the command of a record.

    Raises:
        DataError: `bad_command`, the bytes are none.
    """
    try:
        return _ADAPTER.validate_json(value)
    except ValidationError as error:
        raise DataError("bad_command", "", f"no command: {error.errors()[0]['msg']}") from None
