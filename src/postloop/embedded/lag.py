"""How many records of the embedded broker's input topics the recorder has not stored yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from kafka import TopicPartition
from kafka.admin import OffsetSpec

from postloop.adapters.kafka_admin import admin_client
from postloop.domain.errors import PostloopError
from postloop.domain.event_types import EVENT_TYPES, topic_name
from postloop.settings import Settings

_TIMEOUT_S = 2.0


async def records_waiting(settings: Settings) -> int | None:
    """Return the records behind the recorder's committed offsets; None when the broker does not tell.

    The embedded broker answers "latest" with the first offset of the last batch plus one (measured): the
    figure is too small by less than a batch, but it is 0 only when the last batch is at least begun.
    """
    return await asyncio.to_thread(_ask, settings)


def _ask(settings: Settings) -> int | None:
    topics = [topic_name(kind, prefix=settings.topic_prefix) for kind in EVENT_TYPES]
    group = f"{settings.group_prefix}-recorder"
    try:
        with admin_client(settings, timeout_s=_TIMEOUT_S) as client:
            found = client.describe_topics(topics)
            partitions = [
                TopicPartition(topic["name"], entry["partition_index"])
                for topic in found
                for entry in topic["partitions"]
            ]
            if not partitions:
                return None
            ends = client.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
            return lag(
                {key: end.offset for key, end in ends.items()},
                _offsets(client.list_group_offsets([group]).get(group)),
            )
    except (PostloopError, KeyError, TypeError):
        return None


def _offsets(committed: Mapping[Any, Any] | None) -> dict[Any, int]:
    return {key: position.offset for key, position in (committed or {}).items()}


def lag(ends: Mapping[Any, int], committed: Mapping[Any, int]) -> int:
    """Return how far the committed offsets are behind the ends, summed; no commit counts as 0."""
    return sum(max(0, end - max(0, committed.get(partition, 0))) for partition, end in ends.items())
