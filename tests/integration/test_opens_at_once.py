"""Opens by image proxies from the topics to the open rate: real broker, real database, a real recorder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.event_producer import EventProducer
from tests.support.brokers import Broker
from tests.support.processes import wait_until
from tests.support.stack import Stack

MESSAGES = 150
PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@pytest.fixture
def stack(broker: Broker, topic_prefix: str, tmp_path: Path) -> Iterator[Stack]:
    # Long enough for all partitions to be in one insert, whichever is fetched first.
    with Stack(broker, prefix=topic_prefix, directory=tmp_path, linger="10s") as running:
        yield running


def events(sender_domain: str, number: int, *, opened_after_s: float) -> list[tuple[str, dict[str, Any]]]:
    """Return a delivery 5 s after the sending, and the open that follows it."""
    sent_at = datetime.now(UTC) - timedelta(minutes=2)
    delivered_at = sent_at + timedelta(seconds=5)
    message = {
        "account_id": "acme",
        "message_id": f"{number}@{sender_domain}",
        "sender_domain": sender_domain,
        "recipient": f"ann{number}@gmail.com",
        "mail_class": "marketing",
        "sent_at": sent_at.isoformat(),
    }
    opened_at = delivered_at + timedelta(seconds=opened_after_s)
    return [
        ("open", {"occurred_at": opened_at.isoformat(), "user_agent": PROXY, **message}),
        ("delivery", {"occurred_at": delivered_at.isoformat(), **message}),
    ]


@pytest.mark.parametrize("count", [pytest.param(3, id="few"), pytest.param(MESSAGES, id="many")])
def test_opens_right_after_a_late_delivery_are_none_of_the_open_rate(stack: Stack, count: int) -> None:
    with EventProducer(stack.settings) as producer:
        producer.require_topics(
            [f"{stack.settings.topic_prefix}email.{kind}" for kind in ("open", "delivery")]
        )
        for domain, after_s in (("machine.example", 1.0), ("human.example", 30.0)):
            for number in range(count):
                for kind, event in events(domain, number, opened_after_s=after_s):
                    value = json.dumps({"event_id": f"{domain}-{kind}-{number}", **event}).encode()
                    topic = f"{stack.settings.topic_prefix}email.{kind}"
                    producer.send(topic, value, key=event["recipient"].encode())
        producer.flush()
    stack.start_recorder()
    stack.wait_stored(4 * count)
    opens = stack.rows(
        "SELECT sender_domain, open_kind, open_reason, count() FROM events WHERE event_type = 'open' "
        "GROUP BY ALL ORDER BY ALL"
    )
    assert opens == [
        ("human.example", "human", "image_proxy", count),
        ("machine.example", "machine", "image_proxy_at_once", count),
    ]
    rates = (
        "SELECT sender_domain, delivered_count, human_open_count, open_rate, raw_open_rate FROM v_open_rate "
        "WHERE window = '24h' ORDER BY sender_domain"
    )
    # A raw row can be seen a moment before its rollups.
    wait_until(lambda: stack.rows(rates), timeout_s=30, what="the rollups")
    assert stack.rows(rates) == [
        ("human.example", count, count, 1.0, 1.0),
        ("machine.example", count, 0, 0.0, 1.0),
    ]
