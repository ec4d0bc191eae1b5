"""The topics that Postloop wants: partitions, replicas, retention, compaction, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from postloop.domain.event_types import (
    BLOCKLIST_CHANGELOG_TOPIC,
    BLOCKLIST_COMMAND_TOPIC,
    BLOCKLIST_EXPIRE_TOPIC,
    BLOCKLIST_INSERT_TOPIC,
    BLOCKLIST_REPLY_TOPIC,
    BLOCKLIST_SIGNAL_TOPIC,
    BLOCKLIST_STATE_TOPIC,
    DEADLETTER_TOPIC,
    DELIVERY_ALERT_TOPIC,
    INPUT_TOPICS,
    REPUTATION_CHANGE_TOPIC,
    REPUTATION_CHANGELOG_TOPIC,
    WEBHOOK_ATTEMPT_TOPIC,
    WEBHOOK_CHANGELOG_TOPIC,
    WEBHOOK_DELIVERY_TOPIC,
    WEBHOOK_ENDPOINT_TOPIC,
    prefixed,
)
from postloop.settings import Settings

# Kafka's own default, said explicitly: one batch of 1 MiB plus its overhead, which holds a record of 1 MB.
INPUT_MAX_BYTES: Final = 1_048_588
# A dead letter carries the record in base64 (4/3 of it), its key and the reasons.
DEADLETTER_MAX_BYTES: Final = 2_000_000
DEADLETTER_RETENTION: Final = timedelta(days=30)
# Three replicas of which two must have a record: one broker may be away without stopping anything.
_SAFE_REPLICATION: Final = 3


@dataclass(frozen=True)
class TopicSpec:
    """A topic as Postloop wants it."""

    name: str
    purpose: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


def wanted_topics(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return every topic of Postloop under the configured prefix: inputs, dead letters, outputs."""
    specs = [_spec(settings, name, f"events: {kind}") for kind, name in INPUT_TOPICS.items()]
    specs.append(
        _spec(
            settings,
            DEADLETTER_TOPIC,
            "records that could not be read",
            retention=DEADLETTER_RETENTION,
            max_bytes=DEADLETTER_MAX_BYTES,
        )
    )
    specs += [
        _spec(settings, BLOCKLIST_INSERT_TOPIC, "addresses that were blocked"),
        _spec(settings, BLOCKLIST_EXPIRE_TOPIC, "addresses that were released"),
        _spec(settings, BLOCKLIST_STATE_TOPIC, "the blocklist, one record an entry", compacted=True),
        _spec(settings, BLOCKLIST_COMMAND_TOPIC, "requests to block or release"),
        _spec(settings, BLOCKLIST_REPLY_TOPIC, "answers to those requests"),
        _spec(settings, BLOCKLIST_SIGNAL_TOPIC, "internal: signals by address"),
        _spec(settings, BLOCKLIST_CHANGELOG_TOPIC, "internal: state of the blocklist role", compacted=True),
        _spec(settings, REPUTATION_CHANGE_TOPIC, "grades of sender domains that changed"),
        _spec(settings, REPUTATION_CHANGELOG_TOPIC, "internal: state of the reputation role", compacted=True),
        _spec(settings, DELIVERY_ALERT_TOPIC, "outages, delays and silence"),
        _spec(
            settings,
            WEBHOOK_ENDPOINT_TOPIC,
            "internal: endpoints of webhooks, with sealed secrets",
            compacted=True,
        ),
        _spec(settings, WEBHOOK_DELIVERY_TOPIC, "internal: events by endpoint"),
        _spec(settings, WEBHOOK_CHANGELOG_TOPIC, "internal: deliveries that wait", compacted=True),
        _spec(settings, WEBHOOK_ATTEMPT_TOPIC, "internal: what came of deliveries"),
    ]
    return tuple(specs)


def _spec(
    settings: Settings,
    name: str,
    purpose: str,
    *,
    retention: timedelta | None = None,
    max_bytes: int = INPUT_MAX_BYTES,
    compacted: bool = False,
) -> TopicSpec:
    configs = {"cleanup.policy": "compact" if compacted else "delete", "max.message.bytes": str(max_bytes)}
    if not compacted:
        configs["retention.ms"] = str(int((retention or settings.topic_retention).total_seconds() * 1000))
    if settings.topic_replication >= _SAFE_REPLICATION:
        configs["min.insync.replicas"] = "2"
    full = prefixed(name, prefix=settings.topic_prefix)
    return TopicSpec(full, purpose, settings.topic_partitions, settings.topic_replication, configs)
