"""From the record on Kafka to the answer for a person: within five seconds."""

import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaProducer

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.message_lookup import Asker, MessageLookup
from tests.support.brokers import Broker
from tests.support.processes import wait_until
from tests.support.stack import Stack


def test_a_hard_bounce_is_explained_within_five_seconds(
    carrier: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    bounce = {
        "event_id": uuid.uuid4().hex,
        "occurred_at": datetime.now(UTC).isoformat(),
        "account_id": "acme",
        "message_id": "7c41@shop.example",
        "sender_domain": "shop.example",
        "recipient": "Anna@gmail.com",
        "smtp_code": 550,
        "enhanced_code": "5.1.1",
        "diagnostic": "550 5.1.1 The email account that you tried to reach does not exist.",
    }
    with Stack(carrier, prefix=topic_prefix, directory=tmp_path) as stack:
        stack.start_recorder(ready=True)
        lookup = MessageLookup(connect(stack.settings), stack.settings)
        producer = KafkaProducer(bootstrap_servers=stack.settings.broker_list, acks="all")
        producer.send(f"{topic_prefix}email.bounce", json.dumps(bounce).encode()).get(timeout=30)
        producer.close()
        sent_s = time.monotonic()
        found = wait_until(
            lambda: lookup.show("7c41@shop.example", Asker(now=utc_now(), account_id="acme")),
            timeout_s=20,
            what="the bounce is found",
        )
        assert time.monotonic() - sent_s < 5
    [copy] = found.recipients
    assert (copy.verdict, copy.reason, copy.recipient) == ("bounced_hard", "user_unknown", "anna@gmail.com")
    assert copy.reason_text == "Gmail knows no account of this name."
    assert copy.next_steps[0].text.startswith("Take the address from your list")
