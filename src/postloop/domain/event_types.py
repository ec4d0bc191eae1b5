"""The names of things on the wire: event types, their topics, and the closed sets of values."""

from typing import Final, Literal, get_args

from postloop.domain.errors import DataError

EventType = Literal["send", "delivery", "bounce", "complaint", "open", "unsubscribe"]
MailClass = Literal["transactional", "notification", "marketing", "unknown"]
IpPoolKind = Literal["shared", "dedicated", "unknown"]
SendStatus = Literal["accepted", "rejected"]
BounceAction = Literal["failed", "delayed"]
OpenKind = Literal["human", "machine"]
Outcome = Literal[
    "accepted",
    "rejected",
    "suppressed",
    "delivered",
    "hard_bounce",
    "soft_bounce",
    "deferral",
    "complaint",
    "not_spam",
    "authentication_report",
    "open",
    "unsubscribe",
]

EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
INPUT_TOPICS: Final[dict[EventType, str]] = {kind: f"email.{kind}" for kind in EVENT_TYPES}
"""The input topic of each event type, without a prefix."""

DEADLETTER_TOPIC: Final = "postloop.deadletter"
REPUTATION_CHANGE_TOPIC: Final = "reputation.change"
DELIVERY_ALERT_TOPIC: Final = "delivery.alert"
REPUTATION_CHANGELOG_TOPIC: Final = "postloop.reputation.changelog"
"""Internal, compacted: what the reputation role has said of each sender, by sender domain."""
BLOCKLIST_INSERT_TOPIC: Final = "blocklist.insert"
BLOCKLIST_EXPIRE_TOPIC: Final = "blocklist.expire"
BLOCKLIST_STATE_TOPIC: Final = "blocklist.state"
BLOCKLIST_COMMAND_TOPIC: Final = "blocklist.command"
BLOCKLIST_REPLY_TOPIC: Final = "blocklist.reply"
BLOCKLIST_SIGNAL_TOPIC: Final = "postloop.blocklist.signal"
"""Internal: what was seen of an address, in the partition of the worker that owns it."""
BLOCKLIST_CHANGELOG_TOPIC: Final = "postloop.blocklist.changelog"
"""Internal, compacted: everything that the blocklist role knows, partitioned as the signals are."""
BLOCKLIST_EVENT_TYPES: Final[tuple[EventType, ...]] = ("bounce", "complaint", "unsubscribe", "delivery")
"""What the blocklist role reads of the input."""
BLOCKLIST_JOURNALED_TOPICS: Final = (
    BLOCKLIST_INSERT_TOPIC,
    BLOCKLIST_EXPIRE_TOPIC,
    BLOCKLIST_CHANGELOG_TOPIC,
    DELIVERY_ALERT_TOPIC,
    DEADLETTER_TOPIC,
)
"""What the journal of the blocklist role copies to ClickHouse."""
WEBHOOK_ENDPOINT_TOPIC: Final = "postloop.webhook.endpoint"
"""Internal, compacted: the endpoints, by id, with sealed secrets."""
WEBHOOK_DELIVERY_TOPIC: Final = "postloop.webhook.delivery"
"""Internal: events for endpoints, in the partition of the worker that owns the endpoint."""
WEBHOOK_CHANGELOG_TOPIC: Final = "postloop.webhook.changelog"
"""Internal, compacted: the deliveries that wait or can be recovered, partitioned as the deliveries are."""
WEBHOOK_ATTEMPT_TOPIC: Final = "postloop.webhook.attempt"
"""Internal: what came of attempts, for the database."""
WEBHOOK_EVENT_TYPES: Final[tuple[EventType, ...]] = (
    "delivery",
    "bounce",
    "complaint",
    "open",
    "unsubscribe",
)
"""What the webhooks role reads of the input."""
WEBHOOK_SOURCE_TOPICS: Final = (
    BLOCKLIST_INSERT_TOPIC,
    BLOCKLIST_EXPIRE_TOPIC,
    REPUTATION_CHANGE_TOPIC,
    DELIVERY_ALERT_TOPIC,
)
"""What it reads of the output of other roles."""
WEBHOOK_JOURNALED_TOPICS: Final = (WEBHOOK_ENDPOINT_TOPIC, WEBHOOK_ATTEMPT_TOPIC, DEADLETTER_TOPIC)
"""What the journal of the webhooks role copies to ClickHouse."""

PARTITIONED_TOPICS: Final = (BLOCKLIST_SIGNAL_TOPIC, WEBHOOK_DELIVERY_TOPIC)
"""Where the number of the partition says whose a record is."""
STATE_TOPICS: Final = (
    BLOCKLIST_STATE_TOPIC,
    BLOCKLIST_CHANGELOG_TOPIC,
    REPUTATION_CHANGELOG_TOPIC,
    WEBHOOK_CHANGELOG_TOPIC,
    WEBHOOK_ENDPOINT_TOPIC,
)
"""Where the last record of a key counts: one that is published again would stand above what came after it."""

_TYPE_OF: Final[dict[str, EventType]] = {topic: kind for kind, topic in INPUT_TOPICS.items()}


def prefixed(topic: str, *, prefix: str = "") -> str:
    """Return the name of any of Postloop's topics on a cluster that uses a prefix."""
    return prefix + topic


def topic_name(event_type: EventType, *, prefix: str = "") -> str:
    """Return the input topic of an event type, e.g. `acme.email.bounce` for prefix `acme.`."""
    return prefixed(INPUT_TOPICS[event_type], prefix=prefix)


def event_type_of(topic: str, *, prefix: str = "") -> EventType:
    """Return the event type that an input topic carries.

    Raises:
        DataError: `unknown_topic`, the topic is none of the six or lacks the prefix.
    """
    kind = _TYPE_OF.get(topic.removeprefix(prefix)) if topic.startswith(prefix) else None
    if kind is None:
        raise DataError(
            "unknown_topic", "topic", f"not one of the six input topics with prefix {prefix!r}: {topic}"
        )
    return kind
