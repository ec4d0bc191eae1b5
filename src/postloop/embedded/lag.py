"""How many records of the embedded broker's topics are not in ClickHouse yet, in any form."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka.admin import OffsetSpec

from postloop.adapters.kafka_admin import admin_client
from postloop.domain.errors import PostloopError
from postloop.domain.event_types import (
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_EVENT_TYPES,
    BLOCKLIST_JOURNALED_TOPICS,
    BLOCKLIST_SIGNAL_TOPIC,
    INPUT_TOPICS,
    WEBHOOK_DELIVERY_TOPIC,
    WEBHOOK_EVENT_TYPES,
    WEBHOOK_JOURNALED_TOPICS,
    WEBHOOK_SOURCE_TOPICS,
    prefixed,
)
from postloop.settings import Settings

_TIMEOUT_S = 2.0


async def records_waiting(settings: Settings) -> int | None:
    """Return the records behind the committed offsets of all roles, summed; None when the broker does not tell.

    A role that hands records on to another topic commits once they are there, so none is overlooked on its way.

    The embedded broker answers "latest" with the first offset of the last batch plus one (measured): the
    figure is too small by less than a batch, but it is 0 only when the last batch is at least begun.
    """
    return await asyncio.to_thread(_ask, settings)


def _ask(settings: Settings) -> int | None:
    watched = _watched(settings)
    try:
        with admin_client(settings, timeout_s=_TIMEOUT_S) as client:
            found = client.describe_topics(sorted({topic for topics in watched.values() for topic in topics}))
            partitions = [
                TopicPartition(topic["name"], entry["partition_index"])
                for topic in found
                for entry in topic["partitions"]
            ]
            if not partitions:
                return None
            ends = client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
            committed = client.list_group_offsets(sorted(watched))
            return sum(
                lag(
                    {place: end.offset for place, end in ends.items() if place.topic in topics},
                    _offsets(committed.get(group)),
                )
                for group, topics in watched.items()
            )
    except (PostloopError, KeyError, TypeError):
        return None


def _watched(settings: Settings) -> dict[str, set[str]]:
    """Return consumer group -> the topics that it must have read."""
    prefix = settings.topic_prefix
    wanted = {
        "recorder": list(INPUT_TOPICS.values()),
        "blocklist": [
            *(INPUT_TOPICS[kind] for kind in BLOCKLIST_EVENT_TYPES),
            BLOCKLIST_COMMAND_TOPIC,
            BLOCKLIST_SIGNAL_TOPIC,
        ],
        "blocklist-journal": list(BLOCKLIST_JOURNALED_TOPICS),
        "webhooks": [
            *(INPUT_TOPICS[kind] for kind in WEBHOOK_EVENT_TYPES),
            *WEBHOOK_SOURCE_TOPICS,
            WEBHOOK_DELIVERY_TOPIC,
        ],
        "webhooks-journal": list(WEBHOOK_JOURNALED_TOPICS),
    }
    return {
        f"{settings.group_prefix}-{role}": {prefixed(topic, prefix=prefix) for topic in topics}
        for role, topics in wanted.items()
    }


def _offsets(committed: Mapping[Any, Any] | None) -> dict[Any, int]:
    return {key: position.offset for key, position in (committed or {}).items()}


def lag(ends: Mapping[Any, int], committed: Mapping[Any, int]) -> int:
    """Return how far the committed offsets are behind the ends, summed; no commit counts as 0."""
    return sum(max(0, end - max(0, committed.get(partition, 0))) for partition, end in ends.items())
