"""JSON Schema of every published topic and of every webhook, made from the models."""

import json
from typing import Any, Final

from pydantic import BaseModel

from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.blocklist import (
    BlocklistCommandV1,
    BlocklistExpireV1,
    BlocklistInsertV1,
    BlocklistReplyV1,
)
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.events import MODELS
from postloop.contracts.reputation import ReputationChangeV1
from postloop.contracts.webhook import WEBHOOK_MODELS
from postloop.domain.event_types import (
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_EXPIRE_TOPIC,
    BLOCKLIST_INSERT_TOPIC,
    BLOCKLIST_REPLY_TOPIC,
    BLOCKLIST_STATE_TOPIC,
    DEADLETTER_TOPIC,
    DELIVERY_ALERT_TOPIC,
    INPUT_TOPICS,
    REPUTATION_CHANGE_TOPIC,
)

Schema = dict[str, Any]

SINGLE_MODELS: Final[dict[str, type[BaseModel]]] = {
    DEADLETTER_TOPIC: DeadLetterV1,
    BLOCKLIST_INSERT_TOPIC: BlocklistInsertV1,
    BLOCKLIST_EXPIRE_TOPIC: BlocklistExpireV1,
    BLOCKLIST_STATE_TOPIC: BlocklistInsertV1,
    BLOCKLIST_COMMAND_TOPIC: BlocklistCommandV1,
    BLOCKLIST_REPLY_TOPIC: BlocklistReplyV1,
    DELIVERY_ALERT_TOPIC: DeliveryAlertV1,
    REPUTATION_CHANGE_TOPIC: ReputationChangeV1,
    **WEBHOOK_MODELS,
}
"""Topics whose records hold one object, and the bodies of webhooks.

A null value of `blocklist.state` says that the key blocks no more.
"""
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def export_schemas() -> dict[str, Schema]:
    """Return file name -> schema (draft 2020-12) for topics and for the bodies of webhooks.

    A schema says what a program can check without a clock: the moments that `occurred_at` may have, NaN, the
    nesting and the size of a record are in docs/events.md. JSON Schema takes 550.0 for an integer; we do not.
    """
    topics = {INPUT_TOPICS[kind]: model for kind, model in MODELS.items()}
    schemas = {file_name(topic): _one_or_many(model, topic) for topic, model in topics.items()}
    return schemas | {file_name(topic): _one(model, topic) for topic, model in SINGLE_MODELS.items()}


def file_name(topic: str) -> str:
    """Return the name of the file that holds the schema of a topic."""
    return f"{topic}.v1.json"


def schema_text(schema: Schema) -> str:
    """Return a schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _header(topic: str, model: type[BaseModel]) -> Schema:
    return {
        "$schema": _DIALECT,
        "$id": f"urn:postloop:schema:{topic}.v1",
        "title": topic,
        "description": " ".join((model.__doc__ or "").split()),
    }


def _one(model: type[BaseModel], topic: str) -> Schema:
    schema = model.model_json_schema(mode="validation")
    return {**_header(topic, model), **{k: v for k, v in schema.items() if k not in ("title", "description")}}


def _one_or_many(model: type[BaseModel], topic: str) -> Schema:
    """A record's value is one event or an array of events, which may be empty."""
    event = model.model_json_schema(mode="validation")
    reference = {"$ref": "#/$defs/event"}
    return {
        **_header(topic, model),
        "anyOf": [reference, {"type": "array", "items": reference}],
        "$defs": {**event.pop("$defs", {}), "event": event},
    }
