"""The upper limit: librdkafka fetches, Python joins bytes, ClickHouse parses, validates and derives in SQL.

No event is a Python object. Records go as JSONEachRow into a table without storage, whose views do what the
contract asks of this workload. Addresses and providers are not looked at: it does less than everybody else.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import clickhouse_connect

from bench.peers.common import BATCH_ROWS, Job, job
from bench.peers.confluent_loop import consumer_of

_TEXTS = (
    "event_id", "account_id", "message_id", "sender_domain", "recipient", "mail_class", "ip_pool",
    "ip_pool_kind", "campaign_id", "template_id", "status", "error_code", "error_message", "source_ip",
    "smtp_response", "remote_host", "action", "enhanced_code", "diagnostic", "smtp_command",
    "feedback_type", "reporting_provider", "user_agent", "method", "occurred_at", "sent_at",
)  # fmt: skip
_COLUMNS = ", ".join(
    [*(f"{name} String" for name in _TEXTS), "tags Array(String)", "smtp_code UInt16", "attempt UInt16"]
)
# The engine in process has no parser of other zones, and the workload has none.
_TIME = r"^\\d{4}-\\d\\d-\\d\\d[Tt ]\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?[Zz]$"
_IS_VALID = " AND ".join(
    [
        "length(event_id) BETWEEN 1 AND 64",
        *(f"length({name}) BETWEEN 1 AND 998" for name in ("account_id", "message_id", "sender_domain")),
        "notEmpty(recipient)",
        "mail_class IN ('', 'transactional', 'notification', 'marketing', 'unknown')",
        "ip_pool_kind IN ('', 'shared', 'dedicated', 'unknown')",
        "length(tags) <= 10",
        "smtp_code <= 999",
        f"match(source.occurred_at, '{_TIME}')",
        f"(empty(source.sent_at) OR match(source.sent_at, '{_TIME}'))",
    ]
)
_OUTCOME = (
    "multiIf(event_type = 'send', if(status = 'rejected', 'rejected', 'accepted'), event_type = 'delivery', "
    "'delivered', event_type = 'bounce', if(action = 'delayed', 'deferral', if(smtp_code >= 550, 'hard_bounce', "
    "'soft_bounce')), event_type = 'complaint', if(feedback_type = 'not-spam', 'not_spam', 'complaint'), "
    "event_type)"
)
_PLAIN = [name for name in _TEXTS if name not in ("occurred_at", "sent_at")]


def make_views(client: Any, kinds: list[str]) -> None:
    """Create the table without storage and its two views, for each event type."""
    for kind in kinds:
        client.command(f"CREATE TABLE raw_{kind} ({_COLUMNS}) ENGINE = Null")
        client.command(
            f"CREATE MATERIALIZED VIEW raw_{kind}_good TO events AS SELECT '{kind}' AS event_type, "
            f"'email.{kind}' AS topic, now64(3) AS record_at, now64(3) AS stored_at, {', '.join(_PLAIN)}, tags, "
            "smtp_code, attempt, recipient AS recipient_raw, "
            "domain(concat('http://', splitByChar('@', recipient)[-1])) "
            "AS recipient_domain, toDateTime64OrZero(substring(source.occurred_at, 1, 23), 3, 'UTC') AS occurred_at, "
            "toDateTime64OrNull(substring(source.sent_at, 1, 23), 3, 'UTC') AS sent_at, "
            f"{_OUTCOME} AS outcome FROM raw_{kind} AS source WHERE {_IS_VALID}"
        )
        # Bytes carry no offset: a hash of the id stands for it in the key of the dead letters.
        client.command(
            f"CREATE MATERIALIZED VIEW raw_{kind}_bad TO dead_letters AS SELECT 'email.{kind}' AS topic, "
            "toInt64(intDiv(cityHash64(event_id), 2)) AS `offset`, 'validate' AS stage, now64(3) AS at "
            f"FROM raw_{kind} AS source WHERE NOT ({_IS_VALID})"
        )


def consume(at: Job) -> None:
    """Read until killed; one insert works while the next batch is fetched."""
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=at.clickhouse_port, autogenerate_session_id=False, compress=False
    )
    make_views(client, list(at.topics.values()))

    def insert(by_kind: dict[str, list[bytes]]) -> None:
        for kind, values in by_kind.items():
            client.raw_insert(f"raw_{kind}", insert_block=b"\n".join(values), fmt="JSONEachRow")

    consumer = consumer_of(at)
    with ThreadPoolExecutor(1) as pool:
        running: Future[None] | None = None
        while True:
            messages = consumer.consume(BATCH_ROWS, timeout=0.2)
            by_kind: dict[str, list[bytes]] = {}
            for message in messages:
                by_kind.setdefault(at.topics[message.topic()], []).append(message.value())
            if running is not None:
                running.result()
                running = None
            if by_kind:
                running = pool.submit(insert, by_kind)


if __name__ == "__main__":
    consume(job())
