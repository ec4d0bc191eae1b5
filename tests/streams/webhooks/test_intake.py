"""What other roles publish, matched with endpoints: a record that is none of theirs stops nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import WebhookMetrics
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.decode import Limits
from postloop.contracts.webhook_delivery import DeliveryV1, deliveries_from_bytes
from postloop.domain.event_types import DELIVERY_ALERT_TOPIC, REPUTATION_CHANGE_TOPIC
from postloop.domain.webhook.matching import Directory
from postloop_streams.patience import Patience
from postloop_streams.transport import Lease
from postloop_streams.webhooks.intake import Intake
from tests.unit.contracts.webhooks import alert, endpoint, reputation

FACTOR = {"name": "complaints", "rate": 0.002, "low": 0.001, "high": 0.004, "weight": 0.4, "to_next_grade": 3}
VALID: dict[str, dict[str, Any]] = {
    DELIVERY_ALERT_TOPIC: {"schema_version": 1, **alert(), "account_id": "acme"},
    REPUTATION_CHANGE_TOPIC: {"schema_version": 1, **reputation(), "factors": [FACTOR]},
}


@dataclass
class Record:
    topic: str
    value: bytes | None
    partition: int = 0
    offset: int = 7
    key: bytes | None = None


@dataclass
class World:
    """An intake with two endpoints, and what it published."""

    deliveries: list[DeliveryV1] = field(default_factory=list)
    letters: list[DeadLetterV1] = field(default_factory=list)

    def __post_init__(self) -> None:
        operator = endpoint(endpoint_id="ep_o", account_id=None, event_types=frozenset({"delivery.alert"}))
        self.intake = Intake(
            Directory([endpoint(), operator]),
            limits=Limits(retention=timedelta(days=90)),
            patience=_NoPatience(),
            send=self._send,
            dead_letters=self._keep,
            metrics=WebhookMetrics(),
        )
        self.intake.partitions = 8

    async def _send(self, records: Sequence[tuple[int, bytes]]) -> None:
        for _, value in records:
            self.deliveries += deliveries_from_bytes(value)

    async def _keep(self, letters: Sequence[DeadLetterV1]) -> None:
        self.letters += letters


class _NoPatience(Patience):
    """The broker is always there."""

    def __init__(self) -> None:
        super().__init__(lease=Lease(1e9), health=HealthState([]))

    async def __call__(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        return await attempt()


def changed(topic: str, **fields: Any) -> bytes:
    return json.dumps({**VALID[topic], **fields}).encode()


@pytest.mark.parametrize("topic", VALID)
async def test_a_record_of_another_role_is_told_in_its_own_words(topic: str) -> None:
    world = World()
    assert await world.intake.outputs(topic, [Record(topic, changed(topic))])
    assert not world.letters
    told = [json.loads(delivery.body)["data"] for delivery in world.deliveries]
    assert {data["account_id"] for data in told} == {"acme"}
    for data in told:
        assert {k: v for k, v in VALID[topic].items() if k in data} == {
            k: v for k, v in data.items() if k in VALID[topic]
        }


@pytest.mark.parametrize("topic", VALID)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no value"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"5", id="a number"),
        pytest.param(b"[" * 100_000, id="nested"),
        pytest.param(b'{"event_id":', id="half of it"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param({"event_id": 5}, id="a number for an id"),
        pytest.param({"account_id": []}, id="an array for an account"),
        pytest.param({"sender_domain": {"a": 1}}, id="an object for a domain"),
        pytest.param({"event_id": "\ud800"}, id="half a character"),
        pytest.param(
            {"figures": {"rate": float("nan")}, "factors": [{**FACTOR, "low": float("inf")}]}, id="NaN"
        ),
    ],
)
async def test_what_is_no_record_of_the_topic_is_a_dead_letter_and_the_next_is_told(
    topic: str, value: bytes | dict[str, Any] | None
) -> None:
    world = World()
    raw = changed(topic, **value) if isinstance(value, dict) else value
    records = [Record(topic, raw), Record(topic, changed(topic, event_id="next"), offset=8)]
    assert await world.intake.outputs(topic, records)
    assert [letter.offset for letter in world.letters] == [7]
    assert {delivery.event_id for delivery in world.deliveries} == {"next"}
