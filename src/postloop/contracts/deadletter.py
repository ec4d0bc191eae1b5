"""`postloop.deadletter`: a record, or one element of its array, that could not become an event."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from postloop.contracts.field_errors import FieldError
from postloop.contracts.fields import SchemaVersion, WireTime

_NAMESPACE: Final = UUID("5f0c2f0e-6b52-5f0a-9d0d-2c1a7a6f4b11")
_OVERHEAD_BYTES: Final = 16_384
"""Room for everything but the key and the value: 20 errors of at most 200 characters, names, ids."""


TOPIC_ID_HEADER: Final = "postloop-topic-id"
"""On the dead letters that a journal stores in ClickHouse: the id of the topic in which the record was. The recorder
and imports store their own."""
VALUE_OMITTED: Final = "value_omitted"
"""The reason that stands beside the others where the bytes are not there."""
Stage = Literal["decode", "validate", "process"]
"""How far a record came."""


class DeadLetterV1(BaseModel):
    """The bytes that were refused, where they came from, and every reason."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    schema_version: SchemaVersion = Field(default=1, description="The version of this contract.")
    event_id: str = Field(description="UUIDv5 of the place in the log: a replay repeats it.")
    topic: str = Field(description="Where the record came from.")
    partition: int = Field(ge=0, description="Its partition.")
    offset: int = Field(ge=0, description="Its offset.")
    index: int | None = Field(ge=0, description="The place in the record's array; null is the whole record.")
    key_base64: str | None = Field(description="The record's key; null where it had none.")
    value_base64: str | None = Field(description="The refused bytes; null is a null Kafka value.")
    stage: Stage = Field(description="How far it came.")
    errors: tuple[FieldError, ...] = Field(description="Every reason, at most 20.")
    at: WireTime = Field(description="When it was refused.")

    @property
    def key(self) -> bytes | None:
        """The original key."""
        return None if self.key_base64 is None else b64decode(self.key_base64)

    @property
    def value(self) -> bytes | None:
        """The original bytes of the record or element, as redriving publishes them."""
        return None if self.value_base64 is None else b64decode(self.value_base64)

    def of_topic(self, topic_id: str) -> DeadLetterV1:
        """Return the dead letter with the id that it has in this life of its topic."""
        place = {name: getattr(self, name) for name in ("topic", "partition", "offset", "index")}
        return self.model_copy(update={"event_id": str(dead_letter_id(topic_id=topic_id, **place))})

    def to_bytes(self) -> bytes:
        """Return the dead letter as it is published."""
        return self.model_dump_json().encode()


def dead_letter_id(*, topic_id: str, topic: str, partition: int, offset: int, index: int | None) -> UUID:
    """Return the id of what lay at a place of a log; `topic_id` tells one life of a topic from the next."""
    return uuid5(_NAMESPACE, f"{topic_id}:{topic}:{partition}:{offset}:{'-' if index is None else index}")


def dead_letter(
    *,
    topic_id: str,
    topic: str,
    partition: int,
    offset: int,
    index: int | None,
    key: bytes | None,
    value: bytes | None,
    stage: Literal["decode", "validate", "process"],
    errors: tuple[FieldError, ...],
    at: datetime,
) -> DeadLetterV1:
    """Return the dead letter of one refused record or element."""
    event_id = dead_letter_id(topic_id=topic_id, topic=topic, partition=partition, offset=offset, index=index)
    return DeadLetterV1(
        event_id=str(event_id),
        topic=topic,
        partition=partition,
        offset=offset,
        index=index,
        key_base64=None if key is None else b64encode(key).decode(),
        value_base64=None if value is None else b64encode(value).decode(),
        stage=stage,
        errors=errors,
        at=at,
    )


def dead_letter_row(letter: DeadLetterV1, *, topic_id: str) -> dict[str, Any]:
    """Return the row of a dead letter in ClickHouse; `index` is -1 where the whole record is meant."""
    return {
        **letter.model_dump(exclude={"schema_version", "index", "errors", "key_base64", "value_base64"}),
        "topic_id": topic_id,
        "index": -1 if letter.index is None else letter.index,
        "key_base64": letter.key_base64 or "",
        "value_base64": letter.value_base64 or "",
        "error_code": letter.errors[0].code,
        "errors": json.dumps([asdict(error) for error in letter.errors]),
    }


def max_dead_letter_bytes(*, max_record_bytes: int) -> int:
    """Return the size of the largest dead letter, for `max.message.bytes` of the topic.

    `max_record_bytes` is what the input topics let through, key included, which may be more than the contract
    allows: a record that is too large becomes a dead letter as well. Base64 makes it a third larger.
    """
    return (max_record_bytes + 2) // 3 * 4 + 4 + _OVERHEAD_BYTES
