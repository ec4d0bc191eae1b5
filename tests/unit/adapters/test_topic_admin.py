"""What is told of topics after a change: brokers hear of it a moment after it was confirmed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from postloop.adapters import topic_admin
from postloop.adapters.topic_admin import create_topics
from postloop.adapters.topic_specs import TopicSpec, wanted_topics
from postloop.settings import Settings

SETTINGS = Settings(_env_file=None, topic_partitions=3)


class SlowBroker:
    """Has every topic, with two partitions; a change is seen when it was asked so many times more."""

    def __init__(self, specs: tuple[TopicSpec, ...], *, asks: int) -> None:
        self._configs = {spec.name: dict(spec.configs) for spec in specs}
        self._partitions = dict.fromkeys(self._configs, 2)
        self._asks = asks

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        grown = bool(set(self._partitions.values()) - {2}) and self._asks <= 0
        self._asks -= 1
        return [
            {
                "error_code": 0,
                "name": name,
                "topic_id": "t",
                "partitions": [{"replica_nodes": [1]}] * (self._partitions[name] if grown else 2),
            }
            for name in names
        ]

    def describe_configs(self, _: Any, *, config_filter: str) -> dict[str, Any]:
        assert config_filter == "all"
        return {
            "topic": {
                name: {key: {"value": value} for key, value in configs.items()}
                for name, configs in self._configs.items()
            }
        }

    def create_partitions(self, wanted: dict[str, int]) -> None:
        self._partitions |= wanted


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    broker = SlowBroker(wanted_topics(SETTINGS), asks=request.param)

    @contextmanager
    def client(_: Settings) -> Iterator[SlowBroker]:
        yield broker

    monkeypatch.setattr(topic_admin, "admin_client", client)
    monkeypatch.setattr(topic_admin, "_LOOK_AGAIN_S", 0.0)


@pytest.mark.parametrize("slow", [0, 3], indirect=True)
@pytest.mark.usefixtures("slow")
def test_what_was_changed_is_told_when_the_broker_has_heard_of_it() -> None:
    reports = create_topics(SETTINGS, fix=True)
    assert min(report.partitions for report in reports) == 3
    assert {report.status for report in reports} == {"changed"}


@pytest.mark.parametrize("slow", [1_000_000_000], indirect=True)
@pytest.mark.usefixtures("slow")
def test_a_broker_that_never_tells_it_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_admin, "_SETTLES_WITHIN_S", 0.05)
    reports = create_topics(SETTINGS, fix=True)
    assert {(report.status, report.partitions) for report in reports} == {("differs", 2)}
