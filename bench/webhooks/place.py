"""Broker, database and worker of the webhooks role, and the endpoints that it serves."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from bench import stack
from bench.blocklist.events import mail
from bench.blocklist.throughput import PARTITIONS
from bench.worker import Place, Worker, running
from bench.workload import Record
from postloop.adapters import clock
from postloop.adapters.webhook_endpoints import WebhookTopics
from postloop.adapters.webhook_keys import generate_secret
from postloop.adapters.webhook_master_key import secret_box
from postloop.contracts.webhook_endpoint import endpoint_to_bytes
from postloop.domain.webhook.endpoint import Endpoint, Secret
from postloop.settings import Settings

READY_S: Final = 60.0
_MASTER_KEY: Final = base64.b64encode(b"bench-webhooks-master-key-32byte").decode()


@contextmanager
def webhooks_worker(place: Place) -> Iterator[Worker]:
    """Run a worker and wait until it is ready."""
    with running(place, role="webhooks", webhook_master_keys=_MASTER_KEY) as worker:
        worker.wait_ready(timeout_s=READY_S)
        yield worker


def add_endpoints(brokers: str, directory: Path, urls: Sequence[str]) -> None:
    """Add an endpoint for bounces at each URL, of an account of its own: acc-0, acc-1, ..."""
    settings = Settings(
        _env_file=None,
        kafka_brokers=brokers,
        topic_prefix=stack.PREFIX,
        data_dir=directory,
        webhook_master_keys=_MASTER_KEY,
    )
    box, now_ms = secret_box(settings), clock.now_ms()
    made = [
        Endpoint(
            endpoint_id=f"ep_{uuid.uuid4().hex[:24]}",
            account_id=f"acc-{number}",
            url=url,
            event_types=frozenset(["email.bounced"]),
            secrets=(Secret(value=generate_secret()),),
            hash_key="00" * 32,
            created_ms=now_ms,
            state_ms=now_ms,
            allowed_networks=("127.0.0.0/8",),
        )
        for number, url in enumerate(urls)
    ]
    with WebhookTopics(settings) as topics:
        topics.write({one.endpoint_id: endpoint_to_bytes(one, seal=box.seal) for one in made})


def bounces(name: str, count: int, *, accounts: int, at: datetime) -> Iterator[Record]:
    """Yield hard bounces, in turn of the accounts; the event id of the n-th is bounce-NAME-n."""
    for number in range(count):
        yield mail(
            "bounce",
            f"{name}-{number}",
            at=at,
            partitions=PARTITIONS,
            account_id=f"acc-{number % accounts}",
        )


def number_of(event_id: str) -> int:
    """Return which of the bounces an event is."""
    return int(event_id.rpartition("-")[2])
